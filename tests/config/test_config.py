"""Mistakes in configs are reported with the path and the closest existing name."""

from __future__ import annotations

from pathlib import Path

import mmdet
import pytest
import tiny_training

from detkit.config.load_config import load_config
from detkit.errors import ConfigError

ZOO = Path(mmdet.__file__).parent / ".mim" / "configs"
SHIPPED = sorted(p for p in ZOO.rglob("*.py") if "_base_" not in p.relative_to(ZOO).parts)
# Configs of mmdet 3.5.1 that cannot be loaded, with the expected error.
NEEDS_MMPRETRAIN = "mmpretrain"
BASE_IS_MISSING = "No such file|does not exist"
MISSPELT_METRIC = "'MOTChallengeMetrics' is not the name of a metric; did you mean"
BROKEN = {
    "rtmdet/classification/": NEEDS_MMPRETRAIN,
    "reid/reid_r50_8xb32-6e_mot": NEEDS_MMPRETRAIN,
    "deepsort/deepsort_faster-rcnn_r50_fpn_8xb2-4e_mot17train_test-mot17test.py": NEEDS_MMPRETRAIN,
    "strongsort/strongsort_yolox_x_8xb4-80e_crowdhuman-mot20train_test-mot20test.py":
        NEEDS_MMPRETRAIN,
    "sort/faster-rcnn_r50_fpn_8xb2-4e_mot17train_test-mot17train.py": BASE_IS_MISSING,
    "sort/faster-rcnn_r50_fpn_8xb2-8e_mot20halftrain_test-mot20halfval.py": BASE_IS_MISSING,
    "sort/faster-rcnn_r50_fpn_8xb2-8e_mot20train_test-mot20train.py": BASE_IS_MISSING,
    "bytetrack/bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_test-mot17test.py":
        BASE_IS_MISSING,
    "bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot20train_test-mot20test.py":
        MISSPELT_METRIC,
    "bytetrack/bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot20train_test-mot20test.py":
        MISSPELT_METRIC,
}


def _expected_error(path: Path) -> str | None:
    if "mmpretrain" in path.read_text():
        return NEEDS_MMPRETRAIN
    name = path.relative_to(ZOO).as_posix()
    return next((message for start, message in BROKEN.items() if name.startswith(start)), None)


def _load_shipped(path: Path) -> None:
    message = _expected_error(path)
    if message is None:
        assert load_config(path).filename == str(path)
    else:
        with pytest.raises(ConfigError, match=message):
            load_config(path)


@pytest.mark.parametrize("path", SHIPPED[::60], ids=lambda p: p.stem)
def test_sample_of_mmdet_configs_loads(path: Path) -> None:
    _load_shipped(path)


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.relative_to(ZOO).as_posix())
def test_every_mmdet_config_loads(path: Path) -> None:
    _load_shipped(path)


WRONG = {
    "top-level key": (
        "param_schedular = []", "'param_schedular'.*did you mean 'param_scheduler'"),
    "type of a loss": (
        "model['roi_head']['bbox_head']['loss_cls'] = dict(typ='CrossEntropyLoss')",
        r"model\.roi_head\.bbox_head\.loss_cls\.typ: .*did you mean 'type'"),
    "name of a backbone": (
        "model['backbone']['type'] = 'ResNett'", r"model\.backbone\.type: 'ResNett'.*'ResNet'"),
    "dataset as backbone": (
        "model['backbone']['type'] = 'CocoDataset'",
        r"model\.backbone\.type: .*'CocoDataset' is a dataset"),
    "argument of a backbone": (
        "model['backbone']['depht'] = 18", r"model\.backbone\.depht: .*did you mean 'depth'"),
    "argument passed to a base class by **kwargs": (
        "model['roi_head']['bbox_head']['num_clases'] = 2",
        r"model\.roi_head\.bbox_head\.num_clases: .*'num_classes'"),
    "argument of an assigner": (
        "model['train_cfg']['rpn']['assigner']['pos_iou_th'] = 0.5",
        r"model\.train_cfg\.rpn\.assigner\.pos_iou_th: .*'pos_iou_thr'"),
    "argument that is ignored silently": (
        "model['rpn_head']['bbox_coder']['target_std'] = [1, 1, 1, 1]",
        r"model\.rpn_head\.bbox_coder\.target_std: .*'target_stds'"),
    "norm layer": (
        "model['backbone']['norm_cfg'] = dict(type='BNN')", r"model\.backbone\.norm_cfg\.type"),
    "transform in a pipeline": (
        "train_dataloader['dataset']['pipeline'][3] = dict(type='RandomFlipp')",
        r"train_dataloader\.dataset\.pipeline\[3\]\.type: .*did you mean 'RandomFlip'"),
    "argument of a transform": (
        "train_dataloader['dataset']['pipeline'][3] = dict(type='RandomFlip', probb=0.5)",
        r"pipeline\[3\]\.probb: .*did you mean 'prob'"),
    "transform with an unknown and a missing argument": (
        "train_dataloader['dataset']['pipeline'][3] = dict(type='Expand', bogus=1)",
        r"pipeline\[3\]\.bogus"),
    "key of a dataloader": (
        "train_dataloader['batchsize'] = 2", r"train_dataloader\.batchsize: .*'batch_size'"),
    "sampler": (
        "train_dataloader['sampler'] = dict(type='DefaultSamplr')",
        r"train_dataloader\.sampler\.type: .*'DefaultSampler'"),
    "argument of an optimizer": (
        "optim_wrapper['optimizer']['weight_dacay'] = 0.1",
        r"optim_wrapper\.optimizer\.weight_dacay: .*'weight_decay'"),
    "gradient clipping": (
        "optim_wrapper['clip_grad'] = dict(max_nrom=1)",
        r"optim_wrapper\.clip_grad\.max_nrom: .*'max_norm'"),
    "paramwise_cfg": (
        "optim_wrapper['paramwise_cfg'] = dict(custom_key=dict())",
        r"optim_wrapper\.paramwise_cfg\.custom_key: .*'custom_keys'"),
    "paramwise_cfg of detkit's constructor": (
        "optim_wrapper['constructor'] = 'LearningRateDecayOptimWrapperConstructor'; "
        "optim_wrapper['paramwise_cfg'] = dict(decay_rat=0.5)",
        r"optim_wrapper\.paramwise_cfg\.decay_rat: .*'decay_rate'"),
    "scheduler": (
        "param_scheduler[1]['T_mx'] = 3", r"param_scheduler\[1\]\.T_mx: .*'T_max'"),
    "hook": (
        "default_hooks['checkpoint']['save_bests'] = 'auto'",
        r"default_hooks\.checkpoint\.save_bests: .*'save_best'"),
    "name of a default hook": (
        "default_hooks['chekpoint'] = dict(type='CheckpointHook')",
        r"default_hooks\.chekpoint: .*'checkpoint'"),
    "argument that EMAHook passes on": (
        "custom_hooks[0]['momentun'] = 0.1", r"custom_hooks\[0\]\.momentun: .*'momentum'"),
    "metric": (
        "val_evaluator['anfile'] = ''", r"val_evaluator\.anfile: .*'ann_file'"),
    "loop": (
        "train_cfg['max_epoch'] = 2", r"train_cfg\.max_epoch: .*'max_epochs'"),
    "visualizer's backend": (
        "visualizer['vis_backends'] = [dict(type='TensorbordVisBackend')]",
        r"visualizer\.vis_backends\[0\]\.type: .*'TensorboardVisBackend'"),
    "initialiser": (
        "model['backbone']['init_cfg'] = dict(type='Kaimin', layer='Conv2d')",
        r"model\.backbone\.init_cfg\.type: .*'Kaiming'"),
    "randomness": ("randomness['sed'] = 1", r"randomness\.sed: .*'seed'"),
    "test_cfg of a head": (
        "model['test_cfg']['rcnn']['score_thrs'] = 0.3",
        r"model\.test_cfg\.rcnn\.score_thrs: .*'score_thr'"),
    "number instead of a dict": ("randomness = 3", r"randomness: got 3, expected a dict"),
}


@pytest.mark.parametrize(("line", "message"), WRONG.values(), ids=WRONG)
def test_config_error_names_the_path_and_the_closest_name(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tiny_training.write_config(tmp_path, Path("data"), line + "\n")
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_options_set_items_of_lists(tiny_config: Path) -> None:
    cfg = load_config(tiny_config, {"param_scheduler.1.T_max": 7, "train_dataloader.batch_size": 1})
    assert (cfg.param_scheduler[1].T_max, cfg.train_dataloader.batch_size) == (7, 1)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("optim_wraper.optimizer.lr", "did you mean 'optim_wrapper'"),
        ("test_pipeline", "variable of the file"),
        ("model.backbone.depht", "did you mean 'depth'"),
        ("param_scheduler.5.T_max", "cfg-options"),
    ],
    ids=["unknown key", "evaluated variable", "unknown argument", "list index out of range"],
)
def test_option_without_effect_is_rejected(tiny_config: Path, key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(tiny_config, {key: 1})


@pytest.mark.parametrize("key", ["model.backbone", "train_dataloader", "param_scheduler.1"])
def test_number_instead_of_a_dict_is_rejected(tiny_config: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: got '4', expected a dict, .* it: {key}"):
        load_config(tiny_config, {key: 4})


def test_base_files_are_merged_and_their_variables_are_known(
    tmp_path: Path, tiny_config: Path
) -> None:
    child = tmp_path / "child.py"
    child.write_text("_base_ = 'tiny.py'\nlr = 0.5\noptim_wrapper = dict(optimizer=dict(lr=lr))\n"
                     "train_dataloader = dict(dataset=dict(metainfo=_base_.metainfo))\n")
    cfg = load_config(child)
    assert cfg.optim_wrapper.optimizer == {"type": "AdamW", "lr": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict(", "cannot be read"),
        ("_base_ = 'nowhere.py'", "cannot be read"),
        ("model = undefined", "cannot be read"),
        ("model = dict()\nunread = 1", "bad.py: .*'unread'"),
    ],
    ids=["syntax", "missing base", "undefined name", "unused name"],
)
def test_invalid_config_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_missing_config_error_suggests_a_similar_file(tiny_config: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean '.*tiny.py'"):
        load_config(tiny_config.with_name("tny.py"))
