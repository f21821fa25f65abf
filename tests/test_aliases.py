"""Each earlier name still works, and no message suggests one."""

import pytest

import detkit
from detkit import aliases
from detkit.aliases import current_arch, current_type, update_names
from detkit.cli.main import build_parser
from detkit.config.validate.config_check import check_config, find_type
from detkit.config.validate.registry_lookup import lookup, registered_names
from detkit.errors import ConfigError
from detkit.registry import (
    DATASETS,
    METRICS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    TRANSFORMS,
    import_mmdet,
)

REGISTRIES = {
    "BoxAP": METRICS,
    "ClassDataPreprocessor": MODELS,
    "ClassDataset": DATASETS,
    "LayerDecayOptimWrapperConstructor": OPTIM_WRAPPER_CONSTRUCTORS,
    "LoadPicture": TRANSFORMS,
    "PackClassInputs": TRANSFORMS,
    "TeachingNetwork": MODELS,
}


@pytest.fixture(autouse=True, scope="module")
def mmdet_imported():
    """Without its warnings."""
    import_mmdet()


def test_every_type_alias_is_tested():
    assert set(REGISTRIES) == set(aliases.TYPES)


@pytest.mark.parametrize("old", aliases.TYPES)
@pytest.mark.parametrize("prefix", ["", "detkit."])
def test_old_type_resolves_to_the_renamed_class(old, prefix):
    registry, new = REGISTRIES[old], aliases.TYPES[old]
    target = registry.get(new)
    assert target.__name__ == new and target.__module__.startswith("detkit.")
    assert registry.get(prefix + old) is target
    assert lookup(registry, prefix + old) is target
    assert find_type(prefix + old, registry, "path") is target


@pytest.mark.parametrize("old", aliases.TYPES)
def test_old_type_is_neither_registered_nor_suggested(old):
    assert old not in registered_names(REGISTRIES[old])
    with pytest.raises(ConfigError) as error:
        find_type(old + "X", REGISTRIES[old], "path")
    assert f"'{old}'" not in str(error.value)


def test_models_build_takes_an_old_type_and_an_old_arch():
    assert type(MODELS.build(dict(type="TeachingNetwork", name="lenet5"))).__name__ == (
        "ClassicNetwork")
    for type_name, archs in aliases.ARCHS.items():
        for old, new in archs.items():
            built = [MODELS.build(dict(type=type_name, arch=arch)) for arch in (old, new)]
            shapes = [{name: tensor.shape for name, tensor in model.state_dict().items()}
                      for model in built]
            assert shapes[0] == shapes[1]


def test_config_check_takes_old_types():
    check_config({
        "val_evaluator": {"type": "BoxAP", "ann_file": "a.json"},
        "model": {"type": "ImageClassifier", "data_preprocessor": {"type": "ClassDataPreprocessor"},
                  "backbone": {"type": "TeachingNetwork", "name": "lenet5"},
                  "head": {"type": "LinearClsHead"}},
    })


def test_update_names_reaches_nested_types_constructors_and_archs():
    config = {
        "model": {"backbone": {"type": "detkit.SwinTransformer", "arch": "nano"},
                  "teachers": [({"type": "EfficientNet", "arch": "nano"},)]},
        "optim_wrapper": {"constructor": "LayerDecayOptimWrapperConstructor"},
        "val_evaluator": [{"type": "BoxAP"}, {"type": "detkit.BoxAP"}],
    }
    update_names(config)
    assert config == {
        "model": {"backbone": {"type": "detkit.SwinTransformer", "arch": "micro"},
                  "teachers": [({"type": "EfficientNet", "arch": "micro"},)]},
        "optim_wrapper": {"constructor": "LearningRateDecayOptimWrapperConstructor"},
        "val_evaluator": [{"type": "CocoBBoxMetric"}, {"type": "detkit.CocoBBoxMetric"}],
    }


def test_update_names_leaves_other_names():
    config = {"a": {"type": "mmdet.BoxAP"}, "b": {"type": "ConvNeXtV2", "arch": "nano"},
              "c": {"type": dict, "arch": "nano"}, "name": "BoxAP", "d": {"type": 3}}
    before = {key: dict(value) if isinstance(value, dict) else value
              for key, value in config.items()}
    update_names(config)
    assert config == before


@pytest.mark.parametrize(("name", "expected"), [
    ("BoxAP", "CocoBBoxMetric"), ("detkit.BoxAP", "detkit.CocoBBoxMetric"),
    ("mmdet.BoxAP", "mmdet.BoxAP"), ("CocoMetric", "CocoMetric"),
])
def test_current_type(name, expected):
    assert current_type(name) == expected


@pytest.mark.parametrize(("type_name", "arch", "expected"), [
    ("SwinTransformer", "nano", "micro"), ("detkit.EfficientNet", "nano", "micro"),
    ("ConvNeXtV2", "nano", "nano"), ("SwinTransformer", "tiny", "tiny"),
])
def test_current_arch(type_name, arch, expected):
    assert current_arch(type_name, arch) == expected


@pytest.mark.parametrize(("old", "new"), aliases.FLAGS.items())
def test_old_flag_is_parsed_as_the_new_one(old, new):
    parser = build_parser("predict", "predict")
    required = ["best.pth", "images", "--out", "out"]
    parsed = [vars(parser.parse_args([*required, *flags])) for flags in ([old], [new], [])]
    assert parsed[0] == parsed[1] != parsed[2]
    assert old not in parser.format_help()


@pytest.mark.parametrize(("old", "new"), aliases.EXPORTS.items())
def test_old_export_is_the_new_object(old, new):
    assert getattr(detkit, old) is getattr(detkit, new)
    assert old not in detkit.__all__
