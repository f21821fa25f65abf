"""torchvision's and timm's transforms in a pipeline, against the libraries' own."""

import inspect
import pickle
import random

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from detkit.config.load_config import load_config
from detkit.data.transforms import torchvision_transforms as wrappers
from detkit.data.transforms.load_cls_image import LoadClsImage
from detkit.data.transforms.timm_transforms import TimmAutoAugment, TimmRandomErasing
from detkit.engine.reproducibility import SeededDataset, SeededIndex
from detkit.errors import ConfigError, DataError
from detkit.registry import TRANSFORMS

# Transforms of v2 that are not from one image to one image.
EXCLUDED = {
    "ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat", "RandomIoUCrop",
    "SanitizeBoundingBoxes", "SanitizeKeyPoints", "SetClampingMode",  # boxes and points
    "CutMix", "MixUp",  # a batch
    "FiveCrop", "TenCrop", "UniformTemporalSubsample",  # several images
    "ConvertImageDtype", "Normalize", "PILToTensor", "ToDtype", "ToImage", "ToPILImage",
    "ToPureTensor", "ToTensor",  # types and units
    "Compose", "Lambda", "LinearTransformation", "Transform",
}
# Arguments with which each transform changes the image, whatever is drawn.
ARGUMENTS = {
    "CenterCrop": {"size": 20}, "ColorJitter": {"brightness": [2, 2]},
    "GaussianBlur": {"kernel_size": 5}, "JPEG": {"quality": 5}, "Pad": {"padding": 3},
    "RandomAdjustSharpness": {"sharpness_factor": 4, "p": 1}, "RandomAutocontrast": {"p": 1},
    "RandomAffine": {"degrees": [30, 40]}, "RandomCrop": {"size": 20}, "RandomEqualize": {"p": 1},
    "RandomErasing": {"p": 1, "value": [124, 116, 104]}, "RandomGrayscale": {"p": 1},
    "RandomHorizontalFlip": {"p": 1}, "RandomInvert": {"p": 1}, "RandomPerspective": {"p": 1},
    "RandomPhotometricDistort": {"p": 1}, "RandomPosterize": {"bits": 2, "p": 1},
    "RandomResize": {"min_size": 20, "max_size": 25}, "RandomResizedCrop": {"size": [20, 30]},
    "RandomRotation": {"degrees": [30, 40], "fill": "white"},
    "RandomShortestSize": {"min_size": 20},
    "RandomSolarize": {"threshold": 90, "p": 1}, "RandomVerticalFlip": {"p": 1},
    "RandomZoomOut": {"p": 1, "side_range": [2, 3]}, "Resize": {"size": 30},
    "ScaleJitter": {"target_size": [20, 20], "scale_range": [0.5, 0.9]},
}
UNCHANGED = {"Identity", "RGB"}


@pytest.fixture
def photo():
    """64 x 48 with edges, colors and noise, of a fixed seed."""
    draw = np.random.default_rng(5)
    pixels = draw.integers(0, 200, (6, 8, 3)).repeat(8, 0).repeat(8, 1)
    return Image.fromarray((pixels + draw.integers(0, 50, pixels.shape)).astype(np.uint8))


def build(name, **arguments):
    return TRANSFORMS.build({"type": name, **arguments})


def seed(number=0):
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def pixels_after(transform, image):
    seed()
    results = transform({"img": image})
    assert isinstance(results["img"], Image.Image) and results["img"].mode == "RGB"
    return np.asarray(results["img"])


def test_every_torchvision_transform_is_wrapped_or_excluded():
    reference = {
        name
        for name, item in vars(v2).items()
        if inspect.isclass(item) and issubclass(item, v2.Transform)
    }
    assert reference == {*wrappers.NAMES, *wrappers.CONTAINERS, *EXCLUDED}


@pytest.mark.parametrize("name", wrappers.NAMES)
def test_wrapped_transform_equals_torchvision(name, photo):
    arguments = ARGUMENTS.get(name, {})
    changed = pixels_after(build(f"torchvision/{name}", **arguments), photo)
    # None passes the image through because it is not a tensor.
    assert np.array_equal(changed, np.asarray(photo)) == (name in UNCHANGED)
    parsed = {**arguments, "fill": [255] * 3} if "fill" in arguments else arguments
    seed()
    given = v2.functional.pil_to_tensor(photo) if name in ("GaussianNoise", "RandomErasing") \
        else photo
    reference = getattr(v2, name)(**parsed)(given)
    reference = reference if isinstance(reference,
                                        Image.Image) else v2.functional.to_pil_image(reference)
    assert np.array_equal(changed, np.asarray(reference.convert("RGB")))


def test_input_image_is_not_modified(photo):
    before = np.array(photo)
    for name in ("RandomErasing", "Pad", "RandAugment"):
        build(f"torchvision/{name}", **ARGUMENTS.get(name, {}))({"img": photo})
    assert np.array_equal(before, np.asarray(photo))


def test_eval_pipeline_equals_timm_bit_for_bit(shared_data):
    reference = timm.data.create_transform(
        (3, 224, 224), is_training=False, interpolation="bicubic", crop_pct=0.875,
        use_prefetcher=True)  # which leaves uint8
    resize = build("torchvision/Resize", size=256, interpolation="bicubic")
    crop = build("torchvision/CenterCrop", size=224)
    for path in sorted((shared_data / "photos").glob("*.jp*g")):
        results = crop(resize(LoadClsImage()({"img_path": str(path)})))
        with Image.open(path) as image:
            expected = np.asarray(reference(image.convert("RGB")))
        assert np.array_equal(np.asarray(results["img"]).transpose(2, 0, 1), expected), path.name
        assert results["img_shape"] == (224, 224)


@pytest.mark.parametrize(
    ("given", "mode"),
    [("bicubic", "BICUBIC"), (3, "BICUBIC"), (2, "BILINEAR"), (0, "NEAREST"),
     ("lanczos", "LANCZOS"), (v2.InterpolationMode.BOX, "BOX")],
)
def test_interpolation_accepts_names_and_pillow_codes(given, mode):
    inner = build("torchvision/Resize", size=9, interpolation=given).inner
    assert inner.interpolation is v2.InterpolationMode[mode]


def test_omitted_arguments_use_torchvision_defaults():
    actual, reference = build("torchvision/RandomResizedCrop",
                              size=9).inner, v2.RandomResizedCrop(9)
    assert repr(actual) == repr(reference)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Resize", {"size": 9, "interpolation": "bicubik"}, "got 'bicubik', expected one of near"),
        ("Resize", {"size": 9, "interpolation": 9}, "Resize: interpolation: got 9"),
        ("Pad", {"padding": 2, "fill": "whit"}, "Pad: fill: got 'whit'"),
        ("AutoAugment", {"policy": "imagnet"}, "expected one of imagenet, cifar10, svhn"),
        ("Resize", {"size": "big"}, r"torchvision/Resize\(size='big'\): size can be"),
        ("RandomResizedCrop", {"size": -3}, "size: got -3, expected pixels, at least 1"),
        ("CenterCrop", {"size": (0, 9)}, r"size: got \(0, 9\)"),
        ("RandomHorizontalFlip", {"p": 2}, r"RandomHorizontalFlip\(p=2\): "),
        ("RandomErasing", {"value": "random"}, r"got 'random'.*TimmRandomErasing"),
        ("RandomApply", {"transforms": []}, "at least one"),
        ("AugMix", {"severity": 11}, "severity must be between"),
    ],
)
def test_invalid_argument_raises_config_error(name, arguments, message):
    with pytest.raises(ConfigError, match=message):
        build(f"torchvision/{name}", **arguments)


def test_numpy_array_input_raises_with_a_hint():
    with pytest.raises(ConfigError, match="got a ndarray; begin the pipeline with LoadClsImage"):
        build("torchvision/Resize", size=9)({"img": np.zeros((9, 9, 3), np.uint8)})


def test_containers_hold_transforms_of_the_registry(photo):
    flip = {"type": "torchvision/RandomHorizontalFlip", "p": 1}
    invert = {"type": "torchvision/RandomInvert", "p": 1}
    both = np.asarray(v2.functional.invert(v2.functional.hflip(photo)))
    always = build("torchvision/RandomApply", transforms=[flip, invert], p=1)
    never = build("torchvision/RandomApply", transforms=[flip, invert], p=0)
    assert np.array_equal(pixels_after(always, photo), both)
    assert np.array_equal(pixels_after(never, photo), np.asarray(photo))
    shuffled = build("torchvision/RandomOrder", transforms=[flip, invert])
    assert np.array_equal(pixels_after(shuffled, photo), both)
    choice = build("torchvision/RandomChoice", transforms=[flip, invert], p=[0, 1])
    assert np.array_equal(pixels_after(choice, photo), np.asarray(v2.functional.invert(photo)))
    assert repr(choice) == ("torchvision/RandomChoice([torchvision/RandomHorizontalFlip(p=1), "
                            "torchvision/RandomInvert(p=1)], p=[0.0, 1.0])")


CONFIG = """
default_scope = "detkit"
train_dataloader = dict(batch_size=2, num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="ClsDataset", pipeline=[
        dict(type="LoadClsImage"), {step}, dict(type="PackInputs")]))
"""


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("dict(type='torchvision/RandomResizedCrop', size=8, interpolation='bicubic')", None),
        ("dict(type='torchvision/RandomApply', transforms=[dict(type='TimmAutoAugment')])", None),
        ("dict(type='torchvision/RandomResizedCrop', sice=224)",
         r"pipeline\[1\]\.sice: 'sice' is not an argument of torchvision/RandomResizedCrop; "
         "did you mean 'size'"),
        ("dict(type='torchvision/RandomResizedCrop')", "requires 'size'"),
        ("dict(type='torchvision/RandomResizeCrop', size=8)",
         "did you mean 'torchvision/RandomResizedCrop'"),
        ("dict(type='torchvision/Normalize', mean=0)", "'torchvision/Normalize' is not the name"),
        ("dict(type='torchvision/RandomApply', transforms=[dict(type='torchvision/Pad', pad=1)])",
         r"pipeline\[1\]\.transforms\[0\]\.pad: .*did you mean 'padding'"),
        ("dict(type='TimmAutoAugment', polcy='v0')", "did you mean 'policy'"),
    ],
)
def test_config_check_validates_transform_arguments(tmp_path, step, message):
    path = tmp_path / "config.py"
    path.write_text(CONFIG.replace("{step}", step))
    if message is None:
        assert load_config(path).train_dataloader.dataset.pipeline[1].type
    else:
        with pytest.raises(ConfigError, match=message):
            load_config(path)


AUGMENTATIONS = [
    {"type": "torchvision/RandAugment"}, {"type": "torchvision/AutoAugment"},
    {"type": "torchvision/TrivialAugmentWide"}, {"type": "torchvision/AugMix"},
    {"type": "torchvision/RandomErasing", "p": 1},
    {"type": "TimmAutoAugment", "policy": "rand-m9-mstd0.5-inc1"},
    {"type": "TimmAutoAugment", "policy": "original-mstd0.5", "interpolation": "bicubic"},
    {"type": "TimmAutoAugment", "policy": "augmix-m5-w4-d2"},
    {"type": "TimmRandomErasing", "probability": 1.0},
    {"type": "torchvision/RandomApply", "transforms": [{"type": "torchvision/RandomInvert"}]},
]


class AugmentedImage(torch.utils.data.Dataset):
    """The same image through several augmentations in sequence."""

    def __init__(self, image):
        self.image = image
        self.steps = [TRANSFORMS.build(step) for step in AUGMENTATIONS]

    def __len__(self):
        return 3 * len(self.steps)

    def __getitem__(self, index):
        step = self.steps[index % len(self.steps)]
        return np.asarray(step({"img": self.image})["img"])


def test_seeded_item_does_not_depend_on_earlier_items(photo):
    dataset = SeededDataset(AugmentedImage(photo))
    for number, step in enumerate(AUGMENTATIONS):
        first = dataset[SeededIndex(number, 11)]
        others = [dataset[SeededIndex(number, entropy)] for entropy in range(20, 30)]
        assert np.array_equal(dataset[SeededIndex(number, 11)], first), step
        assert any(not np.array_equal(first, other) for other in others), step


@pytest.mark.slow
def test_spawned_workers_equal_the_main_process(photo):
    dataset = SeededDataset(AugmentedImage(photo))
    order = [SeededIndex(index, 50 + index) for index in range(len(dataset))]
    here = [dataset[index] for index in order]
    there = DataLoader(dataset, batch_size=None, sampler=order, num_workers=2,
                       multiprocessing_context="spawn")
    for actual, reference in zip(here, there, strict=True):
        assert np.array_equal(actual, np.asarray(reference))


def test_pickled_transform_gives_same_output(photo):
    for number, step in enumerate(AUGMENTATIONS):
        transform = TRANSFORMS.build(step)
        unpickled = pickle.loads(pickle.dumps(transform))
        assert type(unpickled) is type(transform) and repr(unpickled) == repr(transform)
        assert np.array_equal(
            pixels_after(unpickled, photo), pixels_after(transform, photo)
        ), number


@pytest.mark.parametrize("policy", ["rand-m10-inc1", "rand-m1-n3-p1-mstd1", "v0r-mstd3", "augmix"])
def test_policies_never_fail_over_100_seeds(policy, photo):
    # Pillow 13 rejects posterize with 0 bits, which timm draws in each of these.
    actual = TimmAutoAugment(policy, img_size=48)
    for number in range(100):
        seed(number)
        assert actual({"img": photo})["img"].size == photo.size


def test_a_image_too_thin_to_scale_is_an_error_by_name():
    thin = {"img": Image.new("RGB", (1, 20000)), "img_path": "thin.png"}
    # 182 x 3,640,000 pixels; 9/20000 of a pixel
    for sizes in ({"size": 182}, {"size": 8, "max_size": 9}, {"size": None, "max_size": 9}):
        with pytest.raises(DataError, match="thin.png: 1 x 20000 pixels are too thin to be scaled"):
            build("torchvision/Resize", **sizes)(dict(thin))
    assert build("torchvision/Resize", size=(9, 8))(dict(thin))["img_shape"] == (9, 8)
    assert build("torchvision/Resize", size=8, max_size=20000)(dict(thin))["img"].size == (1, 20000)


def test_posterize_to_zero_bits_is_black(photo):
    actual = TimmAutoAugment("rand-m10-n1-p1.0-inc1")
    ops = [op for op in actual.inner.ops if op.name == "PosterizeIncreasing"]
    # 4 bits are left at magnitude 0 and none at 10 of 10; Pillow before 13 made that black.
    assert len(ops) == 1 and not np.asarray(ops[0](photo)).any()


@pytest.mark.parametrize("policy", ["rand-m9-mstd0.5-inc1", "v0", "augmix-m5-w4-d2"])
def test_timm_policies_equal_timm_training_transform(policy, photo):
    # Its training transform beside crop and flip, which are turned off.
    reference = timm.data.create_transform(
        (3, 48, 64), is_training=True, auto_augment=policy, scale=(1, 1), ratio=(4 / 3, 4 / 3),
        hflip=0, interpolation="bilinear", use_prefetcher=True, separate=True)[1]
    actual = TimmAutoAugment(policy, img_size=48, interpolation="bilinear")
    for number in range(20):
        seed(number)
        expected = np.asarray(reference(photo))
        seed(number)
        assert np.array_equal(np.asarray(actual({"img": photo})["img"]), expected)


@pytest.mark.parametrize(
    "policy", ["", "randm9", "rand-m9-x3", "rand-mstd", "rand-tbest", "v9", "original-m9",
               "augmix-n3", None])
def test_a_policy_that_timm_would_misread_is_an_error_when_built(policy):
    with pytest.raises(ConfigError, match="TimmAutoAugment: policy"):
        TimmAutoAugment(policy)


def test_erasing_with_a_constant_gives_the_mean_and_leaves_the_rest(photo):
    erase = TimmRandomErasing(probability=1, mode="const", min_area=0.2)
    changed = pixels_after(erase, photo)
    erased = (changed != np.asarray(photo)).any(-1)
    # ImageNet's mean: 0.485, 0.456, 0.406 of 255 is 123.7, 116.3, 103.5.
    assert (changed[erased] == (124, 116, 104)).all()
    assert 0.15 < erased.mean() < 0.4


def test_pixel_erasing_noise_has_given_mean_and_std(photo):
    gray = Image.new("RGB", (200, 200), (7, 7, 7))
    erase = TimmRandomErasing(probability=1, mode="pixel", min_area=0.3, mean=[128, 128, 128],
                              std=[20, 20, 20])
    noise = pixels_after(erase, gray)
    noise = noise[(noise != 7).any(-1)]
    # About 0.3 * 40,000 pixels of three: the standard error of the mean is 20 / 190.
    assert abs(noise.mean() - 128) < 0.5 and abs(noise.std() - 20) < 0.5


@pytest.mark.parametrize("wrong", [{"mode": "noise"}, {"probability": 2}, {"min_area": 0},
                                   {"min_aspect": 3}])
def test_wrong_arguments_of_erasing_are_errors(wrong):
    with pytest.raises(ConfigError, match="TimmRandomErasing"):
        TimmRandomErasing(**wrong)
