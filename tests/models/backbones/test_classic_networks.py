"""Classic networks: published sizes, features of their libraries, errors for invalid images."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import ClassicNetwork
from detkit.models.backbones.classic.classic_networks import CLASSIC_NETWORKS
from detkit.models.backbones.classic.lenet5 import LeNet5, scaled_tanh
from detkit.models.backbones.classic.zfnet import ZFNet
from detkit.models.weights.backbone_weights import load_backbone_weights

# Of transformers: the smallest image size, to keep the suite fast.
SMALL: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": dict(img_size=32),
    "coatnet_nano_rw_224": dict(img_size=32),
    "convit_tiny": dict(img_size=32),
}
# Hundreds of megabytes each, or similar to a faster one.
HEAVY = ("vgg11", "wide_resnet50_2", "resnext50_32x4d", "resnet50", "alexnet", "seresnet50",
         "zfnet", "densenet121", "coatnet_nano_rw_224")
NAMES = list(CLASSIC_NETWORKS)
NAMES_SLOW_MARKED = [
    pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in NAMES
]


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def make_image(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def layer_output_sizes(model: Any, image: Tensor, kinds: tuple[type, ...]) -> list[int]:
    """Output sizes of all layers of these types."""
    map_sizes: list[int] = []
    hooks = [module.register_forward_hook(lambda _, __, out: map_sizes.append(out.shape[-1]))
             for module in model.modules() if isinstance(module, kinds)]
    with torch.no_grad():
        model.eval()(image)
    for hook in hooks:
        hook.remove()
    return map_sizes


def test_lenet5_has_60000_trainable_parameters_as_in_paper() -> None:
    parts = {name: num_parameters(part) for name, part in LeNet5(in_channels=1).named_children()}
    # C1 6 * (25 + 1); S2 6 * 2; C3 60 kernels * 25 + 16; S4 16 * 2; C5 120 * (16 * 25 + 1);
    # F6 84 * (120 + 1): as in the paper, in sum 60,000. Its radial basis functions
    # after F6 are fixed and not counted.
    assert parts == dict(c1=156, s2=12, c3=1516, s4=32, c5=48120, f6=10164)
    assert sum(parts.values()) == 60000
    # Color: two more channels of 6 * 25 weights.
    assert num_parameters(LeNet5()) == 60000 + 2 * 6 * 25


def test_lenet5_map_sizes_match_paper_and_larger_images_are_pooled() -> None:
    model = LeNet5(in_channels=1)
    kinds = tuple(type(part) for part in (model.c1, model.s2, model.c3))
    assert layer_output_sizes(model, make_image(1, 1, 32, 32), kinds) == [28, 14, 10, 5, 1]
    assert (
        model(make_image(2, 1, 32, 32)).shape == model(make_image(2, 1, 75, 160)).shape == (2, 84)
    )
    # The paper, section II.B: scaled tanh maps 1 to 1 and -1 to -1.
    ends = scaled_tanh(torch.tensor([-1.0, 0.0, 1.0]))
    assert torch.allclose(ends, torch.tensor([-1.0, 0.0, 1.0]), atol=1e-4)


def test_lenet5_c3_connections_match_paper_table() -> None:
    model = LeNet5(in_channels=1)
    with torch.no_grad():
        model.c3.weight.fill_(1.0)
        # One map of ones at a time: which of the sixteen outputs read it?
        connections = [(model.c3(torch.eye(6)[i].view(1, 6, 1, 1).expand(1, 6, 5, 5))
                        > 0).flatten() for i in range(6)]
    table = ["X...XXX..XXXX.XX", "XX...XXX..XXXX.X", "XXX...XXX..X.XXX", ".XXX..XXXX..X.XX",
             "..XXX..XXXX.XX.X", "...XXX..XXXX.XXX"]
    assert ["".join("X" if connected else "." for connected in row) for row in connections] == table


def test_subsampling_is_a_factor_times_the_sum_of_four_plus_a_bias() -> None:
    part = LeNet5(in_channels=1).s2
    with torch.no_grad():
        part.factor.fill_(0.1)
        part.bias.fill_(0.5)
    out = part(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 6, 2, 2))
    # 0.1 * (1 + 2 + 3 + 4) + 0.5 = 1.5
    assert torch.allclose(out.flatten(), scaled_tanh(torch.full((6,), 1.5)))


def test_zfnet_map_sizes_and_parameters_match_paper() -> None:
    model = ZFNet()
    # Figure 3: 224 -> 110, pooled 55 -> 26, pooled 13 -> 13 -> 13 -> 13, pooled 6.
    kinds = (nn.Conv2d, nn.MaxPool2d)
    assert layer_output_sizes(model, make_image(1, 3, 224, 224),
                              kinds) == [110, 55, 26, 13, 13, 13, 13, 6]
    assert layer_output_sizes(model, make_image(1, 3, 225, 225), kinds)[-1] == 6
    # 96 * (3 * 49 + 1) + 256 * (96 * 25 + 1) + 384 * (256 * 9 + 1) + 384 * (384 * 9 + 1)
    # + 256 * (384 * 9 + 1) + 4096 * (256 * 36 + 1) + 4096 * (4096 + 1) = 58,260,608
    # (and with the last layer, 1000 * 4097 more, the 62.4 million of a 1000-class ZFNet).
    assert num_parameters(model) == 58_260_608
    assert model.eval()(make_image(2, 3, 224, 224)).shape == (2, 4096)


@pytest.mark.parametrize("name", NAMES_SLOW_MARKED)
def test_feature_channels_match_output_and_gradients_flow(name: str) -> None:
    torch.manual_seed(0)
    model = ClassicNetwork(name, **SMALL.get(name, {}))
    image_size = max(model.min_size, 32)
    model.train()
    (features,) = model(make_image(2, 3, image_size, image_size))
    assert features.shape == (2, *model.feature_channels) and features.isfinite().all()
    features.square().mean().backward()
    unreached = [path for path, parameter in model.named_parameters() if parameter.grad is None]
    assert unreached == []
    assert model.feature_strides is None


@pytest.mark.parametrize("name", NAMES_SLOW_MARKED)
def test_image_below_min_size_raises_and_min_size_works(name: str) -> None:
    model = ClassicNetwork(name, **SMALL.get(name, {})).eval()
    image_size = model.min_size
    with torch.no_grad():
        assert model(torch.zeros(1, 3, image_size,
                                 image_size))[0].shape == (1, *model.feature_channels)
    for height, width in ((image_size - 1, image_size), (image_size, image_size - 1)):
        with pytest.raises(ConfigError,
                           match=rf"{name}.*got {width} x {height} pixels.*{image_size}"):
            model(torch.zeros(1, 3, height, width))


@pytest.mark.parametrize("name", [name if name.startswith("vit") else
                                  pytest.param(name, marks=pytest.mark.slow) for name in SMALL])
def test_fixed_size_networks_check_image_size(name: str) -> None:
    model = ClassicNetwork(name, img_size=64).eval()
    assert model.fixed_size == 64 and CLASSIC_NETWORKS[name].image_size == 224
    assert model(torch.zeros(1, 3, 64, 64))[0].shape == (1, *model.feature_channels)
    with pytest.raises(ConfigError, match="fixed size only.*got 96 x 64.*expected 64 x 64"):
        model(torch.zeros(1, 3, 64, 96))


def reference_and_features(name: str) -> tuple[nn.Module, Any]:
    """The library's network, and a function for the input of its last layer."""
    torch.manual_seed(0)
    entry = CLASSIC_NETWORKS[name]
    if entry.library == "timm":
        reference: Any = timm.create_model(name, **SMALL.get(name, {})).eval()
        return reference, lambda x: reference.forward_head(
            reference.forward_features(x), pre_logits=True
        )
    options = dict(init_weights=False, aux_logits=True) if name == "googlenet" else {}
    reference = getattr(torchvision.models, name)(**options).eval()
    classifier_inputs: list[Tensor] = []
    reference.get_submodule(
        entry.classifier).register_forward_pre_hook(lambda _, x: classifier_inputs.append(x[0]))
    return reference, lambda x: (reference(x), classifier_inputs.pop())[1]


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow) if name in (*HEAVY, "convit_tiny") else name
    for name in NAMES if CLASSIC_NETWORKS[name].library != "detkit"])
def test_library_checkpoint_gives_classifier_input_features(name: str) -> None:
    reference, features = reference_and_features(name)
    model_under_test = ClassicNetwork(name, **SMALL.get(name, {})).eval()
    report = load_backbone_weights(model_under_test, reference.state_dict())
    assert report.layout == CLASSIC_NETWORKS[name].library and report.missing_keys == ()
    image_size = max(model_under_test.min_size,
                     64) if model_under_test.fixed_size is None else model_under_test.fixed_size
    image = make_image(2, 3, image_size, image_size)
    with torch.no_grad():
        assert torch.allclose(model_under_test(image)[0], features(image), atol=1e-5)
    if name == "googlenet":
        assert any(unused.startswith("aux1.") for unused in report.unexpected_keys)
    # A detkit checkpoint of a classifier loads too; the head is unexpected.
    state = {f"backbone.{key}": value for key, value in model_under_test.state_dict().items()}
    again = load_backbone_weights(ClassicNetwork(name, **SMALL.get(name, {})),
                                  {**state, "head.fc.weight": torch.ones(2, 2)})
    assert again.missing_keys == () and again.unexpected_keys == ("head.fc.weight",)


def test_checkpoint_of_other_network_is_rejected() -> None:
    state = torchvision.models.resnet18().state_dict()
    with pytest.raises(WeightsError, match="names of lenet5.*layout of detkit"):
        load_backbone_weights(ClassicNetwork("lenet5"), state)
    del state["layer1.0.conv2.weight"]
    with pytest.raises(WeightsError, match="missing model.layer1.0.conv2.weight"):
        load_backbone_weights(ClassicNetwork("resnet18"), state)


@pytest.mark.parametrize("arguments, words", [
    (dict(name="resnet19"), "expected one of lenet5.*did you mean 'resnet18'"),
    (dict(name=5), "got 5"),
    (dict(name="lenet5", in_channels=0), "LeNet5: in_channels"),
    (dict(name="zfnet",
          width=2), "zfnet cannot be built with these arguments.*unexpected.*width.*got width=2"),
    (dict(name="resnet18", num_classes=5), "'num_classes' is not supported"),
    (dict(name="resnet18", color=5), "resnet18 cannot be built with these arguments.*color"),
    (dict(name="vit_tiny_patch16_224", image=5), "no argument 'image'.*img_size"),
    (dict(name="convit_tiny", num_classes=5), "ClassicNetwork.*'num_classes'"),
],
                         ids=str)
def test_unknown_name_or_argument_is_rejected(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        ClassicNetwork(**arguments)


@pytest.mark.parametrize("name", ["lenet5", "zfnet", "googlenet", "resnet18",
                                  pytest.param("densenet121", marks=pytest.mark.slow),
                                  "vit_tiny_patch16_224"])
def test_depths_begin_at_the_stem_and_grow_towards_the_head(name: str) -> None:
    with torch.device("meta"):
        model = ClassicNetwork(name)
    number = model.get_layer_depth("head.fc.weight", "backbone.")[1]
    depths = [model.get_layer_depth(f"backbone.{path}", "backbone.")[0]
              for path, _ in model.named_parameters()]
    assert depths == sorted(depths) and set(depths) == set(range(number - 1))
    assert model.get_layer_depth("head.fc.weight", "backbone.") == (number - 1, number)
    # LeNet-5 six layers; ZFNet seven; GoogLeNet three convolutions and nine modules; ResNet-18
    # a stem and eight blocks; DenseNet-121 a stem and 6 + 12 + 24 + 16 layers; ViT 12 blocks
    # behind the embedding. timm has a separate depth for the norm after its blocks.
    expected = {"lenet5": 6, "zfnet": 7, "googlenet": 12, "resnet18": 9, "densenet121": 59,
                "vit_tiny_patch16_224": 13}[name]
    assert number - 1 in (expected, expected + 1)


def test_lenet5_learns_horizontal_versus_vertical_stripes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(LeNet5(), nn.Linear(84, 2))
    waves = (torch.arange(32) / 2).sin().expand(16, 3, 32, 32)
    images = torch.cat([waves, waves.transpose(2, 3)]) + 0.1 * torch.randn(32, 3, 32, 32)
    labels = torch.arange(2).repeat_interleave(16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
