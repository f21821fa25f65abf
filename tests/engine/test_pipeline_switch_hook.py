"""The training pipeline switches for the last epochs, inside of wrappers and of workers too."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from detkit.engine.hooks.pipeline_switch_hook import PipelineSwitchHook, YOLOXModeSwitchHook
from detkit.engine.reproducibility import seeded_dataloader
from detkit.errors import ConfigError
from detkit.registry import DATASETS, import_mmdet

LOAD = [dict(type="LoadImage"), dict(type="LoadAnnotations", with_bbox=True)]
MOSAIC = dict(type="Mosaic", img_scale=(64, 64))
CLEAN = [dict(type="Resize", scale=(32, 32)), dict(type="PackDetInputs")]
WRAPPERS = {
    "plain": lambda data: dict(data, pipeline=[*LOAD, *CLEAN[1:]]),
    "repeated": lambda data: dict(type="RepeatDataset", times=2,
                                  dataset=dict(data, pipeline=[*LOAD, *CLEAN[1:]])),
    "mixed": lambda data: dict(type="MultiImageMixDataset", dataset=dict(data, pipeline=LOAD),
                               pipeline=[MOSAIC, *CLEAN[1:]]),
    "mixed and repeated": lambda data: dict(
        type="RepeatDataset", times=2, dataset=dict(
            type="MultiImageMixDataset", dataset=dict(data, pipeline=LOAD),
            pipeline=[MOSAIC, *CLEAN[1:]])),
}
SIZES = {"plain": 64, "repeated": 64, "mixed": 128, "mixed and repeated": 128}


def _runner(tiny_data: Any, wrapper: str, workers: int = 0, max_epochs: int = 10) -> Any:
    """As much of a runner as the hooks read, with a dataloader as a run builds it."""
    import_mmdet()
    data = dict(type="CocoDataset", data_root=str(tiny_data), ann_file="train.json",
                data_prefix=dict(img="images"), metainfo=dict(classes=("red", "green")))
    with DefaultScope.overwrite_default_scope("detkit"):
        dataset = DATASETS.build(WRAPPERS[wrapper](data))
    plain = DataLoader(dataset, batch_size=2, sampler=DefaultSampler(dataset, seed=1),
                       num_workers=workers, persistent_workers=workers > 0,
                       collate_fn=pseudo_collate)
    return SimpleNamespace(train_dataloader=seeded_dataloader(plain, 5, 0, 1), epoch=0,
                           max_epochs=max_epochs, train_loop=None, model=SimpleNamespace(),
                           logger=logging.getLogger("test"))


def _sides(runner: Any, hook: Any, epoch: int) -> set[int]:
    """The sides of the images of an epoch."""
    runner.epoch = epoch
    runner.train_dataloader.batch_sampler.sampler.set_epoch(epoch)
    with DefaultScope.overwrite_default_scope("detkit"):
        hook.before_train_epoch(runner)
    return {side for batch in runner.train_dataloader for image in batch["inputs"]
            for side in image.shape[1:]}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_last_fraction_of_the_epochs_has_the_new_pipeline(tiny_data, wrapper):
    runner = _runner(tiny_data, wrapper)
    steps = CLEAN if "mixed" in wrapper else [*LOAD, *CLEAN]
    hook = PipelineSwitchHook(last_fraction=0.2, switch_pipeline=steps)
    with DefaultScope.overwrite_default_scope("detkit"):
        hook.before_train(runner)
    assert _sides(runner, hook, 7) == {SIZES[wrapper]}
    assert _sides(runner, hook, 8) == _sides(runner, hook, 9) == {32}


@pytest.mark.slow
def test_running_workers_switch(tiny_data):
    runner = _runner(tiny_data, "mixed", workers=2)
    hook = PipelineSwitchHook(switch_epoch=1, switch_pipeline=CLEAN)
    with DefaultScope.overwrite_default_scope("detkit"):
        hook.before_train(runner)
    assert _sides(runner, hook, 0) == {128}
    workers = runner.train_dataloader._iterator._workers
    assert _sides(runner, hook, 1) == {32}
    assert not any(worker.is_alive() for worker in workers)


def test_run_resumed_after_the_switch_has_the_new_pipeline(tiny_data):
    runner = _runner(tiny_data, "mixed")
    hook = PipelineSwitchHook(switch_epoch=3, switch_pipeline=CLEAN)
    with DefaultScope.overwrite_default_scope("detkit"):
        hook.before_train(runner)
    assert _sides(runner, hook, 5) == {32}


def test_yolox_hook_leaves_steps_out_for_a_detector_without_l1_loss(tiny_data):
    runner = _runner(tiny_data, "mixed and repeated")
    hook = YOLOXModeSwitchHook(num_last_epochs=2)
    hook.before_train(runner)
    assert _sides(runner, hook, 6) == {128}
    assert _sides(runner, hook, 7) == {64}  # mmdet's rule: epoch + 1 >= 10 - 2
    with pytest.raises(ConfigError, match="skip_type_keys names no step.*got MixUp.*Mosaic"):
        YOLOXModeSwitchHook(skip_type_keys=("MixUp",)).before_train(runner)
    with pytest.raises(ConfigError, match="no MultiImageMixDataset; use PipelineSwitchHook"):
        hook.before_train(_runner(tiny_data, "plain"))


@pytest.mark.parametrize(("args", "message"), [
    (dict(switch_pipeline=CLEAN), "got neither"),
    (dict(switch_pipeline=CLEAN, switch_epoch=1, last_fraction=0.1), "got both"),
    (dict(switch_pipeline=CLEAN, last_fraction=2), "last_fraction: got 2"),
    (dict(switch_pipeline=CLEAN, switch_epoch=-1), "switch_epoch: got -1"),
    (dict(switch_epoch=1), "got no steps"),
], ids=["neither", "both", "fraction", "epoch", "no steps"])
def test_invalid_arguments_are_rejected(args, message):
    with pytest.raises(ConfigError, match=message):
        PipelineSwitchHook(**args)


def test_steps_that_would_fail_at_the_switch_fail_at_the_start(tiny_data):
    runner = _runner(tiny_data, "plain")
    hook = PipelineSwitchHook(switch_epoch=8, switch_pipeline=CLEAN)
    with (DefaultScope.overwrite_default_scope("detkit"),
          pytest.raises(ConfigError, match="fails on the first training image.*loading included")):
        hook.before_train(runner)


@pytest.mark.slow
def test_samples_with_mosaic_do_not_depend_on_the_number_of_workers(tiny_data):
    images = []
    for workers in (0, 2):
        loader = _runner(tiny_data, "mixed", workers).train_dataloader
        images.append(np.stack([image.numpy() for batch in loader for image in batch["inputs"]]))
    assert (images[0] == images[1]).all()


@pytest.mark.slow
def test_mixed_batches_after_skipped_ones_are_unchanged(tiny_data):
    """As a run that is resumed within an epoch loads them."""
    expected = [batch["inputs"] for batch in _runner(tiny_data, "mixed").train_dataloader]
    loader = _runner(tiny_data, "mixed").train_dataloader
    loader.batch_sampler.skip_next = 1
    for batch, images in zip(loader, expected[1:], strict=True):
        assert all(image.equal(other) for image, other in zip(batch["inputs"], images))
