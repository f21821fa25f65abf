"""The norm of a classifier's input: mean and std of the training images, for any kind of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from detkit.engine.run import train
from detkit.errors import ConfigError
from detkit.models.classifiers.image_classifier import ImageClassifier
from detkit.registry import MODELS

CONFIGS = Path(__file__).parents[3] / "configs"
LAYER_NORM_CONFIGS = ("classify_convnextv2_nano.py", "classify_swin_nano.py")
NORM: dict[str, Any] = dict(type="BN", affine=False, momentum=None)
CHANNELS = {"ConvNeXtV2": 320, "SwinTransformer": 384}


def build(config: str, **changes: Any) -> ImageClassifier:
    torch.manual_seed(0)
    cfg = Config.fromfile(CONFIGS / config).model.to_dict()
    cfg["head"].update(num_classes=7, in_channels=CHANNELS[cfg["backbone"]["type"]])
    model: ImageClassifier = MODELS.build({**cfg, **changes})
    model.init_weights()
    return model


def line_drawings(count: int = 16, size: int = 128) -> list[Tensor]:
    """White pages with thin gray random walks, as drawings are after scaling down."""
    generator = torch.Generator().manual_seed(1)
    pages = []
    for _ in range(count):
        page = torch.full((3, size, size), 255, dtype=torch.uint8)
        steps = torch.randint(-1, 2, (600, 2), generator=generator).cumsum(0) + size // 2
        y, x = steps.clamp(0, size - 1).unbind(1)
        page[:, y, x] = 200
        pages.append(page)
    return pages


def stroke_share(tokens: Tensor) -> float:
    """Root mean square of what differs within an image, relative to all of its tokens."""
    centered = tokens - tokens.mean((1, 2), keepdim=True)
    return float((centered.square().mean() / tokens.square().mean()).sqrt())


def test_strokes_are_not_lost_in_the_white_of_the_page() -> None:
    shares = []
    for norm in (None, NORM):
        model = build("classify_convnextv2_nano.py", input_norm=norm)
        images = model.data_preprocessor(dict(inputs=line_drawings()))["inputs"]
        if model.input_norm is not None:
            model.input_norm.train()(images)
            images = model.input_norm.eval()(images)
        stem = next(model.backbone.children())
        with torch.no_grad():
            shares.append(stroke_share(stem(images)))
    # 0.04 and 0.33 were measured.
    assert shares[1] > 3 * shares[0]


def test_statistics_are_the_mean_and_std_of_all_training_images() -> None:
    model = build("classify_convnextv2_nano.py", data_preprocessor=dict(type="ClsDataPreprocessor"))
    pages = line_drawings(12, 32)
    assert model.input_norm is not None
    for batch in (pages[:4], pages[4:8], pages[8:]):
        inputs = model.data_preprocessor(dict(inputs=batch))["inputs"]
        model.train().extract_feat(inputs)
    pixels = torch.stack(pages).double().movedim(1, 0).flatten(1)
    state = model.input_norm.state_dict()
    mean, var = state["running_mean"], state["running_var"]
    torch.testing.assert_close(mean.double(), pixels.mean(1), rtol=1e-5, atol=1e-3)
    # The mean of the batches' variances lacks what differs between the batches.
    torch.testing.assert_close(var.double(), pixels.var(1), rtol=0.02, atol=0)


def test_a_norm_of_other_shapes_is_named() -> None:
    with pytest.raises(ConfigError, match="model.input_norm"):
        build("classify_convnextv2_nano.py", input_norm=dict(type="LN"))


@pytest.mark.slow
@pytest.mark.parametrize("config", LAYER_NORM_CONFIGS)
def test_line_drawings_are_learned_from_nothing(config: str, shared_data: Path,
                                                tmp_path: Path) -> None:
    """Without the norm both stay at the most frequent class, 0.25 of the images."""
    # 9 epochs of 32 steps at half the config's size: a minute of one core.
    options = {"train_cfg.max_epochs": 9, "train_cfg.val_interval": 9,
               "param_scheduler.1.end": 9, "param_scheduler.1.T_max": 9,
               "train_dataloader.dataset.pipeline.1.size": 64}
    for split in ("val", "test"):
        options |= {f"{split}_dataloader.dataset.pipeline.1.size": 72,
                    f"{split}_dataloader.dataset.pipeline.2.size": 64}
    result = train(CONFIGS / config, data=str(shared_data / "cls_sketch_tuberlin"),
                   work_dir=tmp_path, options=options, device="cpu")
    assert result.test is not None and result.test.metrics["cls/top1"] >= 0.45
