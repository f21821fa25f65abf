"""``train``, ``test`` and ``complexity`` with a classifier."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_classifier as tiny
import torch
from PIL import Image

from detkit.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
ONE_EPOCH = ["train_cfg.max_epochs=1"]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = main(list(map(str, words)))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ and tiny_class.py for it."""
    folder = tmp_path_factory.mktemp("commands")
    tiny.write_config(folder, tiny.write_images(folder / "data"))
    return folder


def test_train_and_test_print_tables_and_write_confusion_matrix(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, work = workspace / "tiny_class.py", workspace / "work"
    code, out, _ = run(capsys, "train", config, "--data", workspace / "data", "--work-dir", work,
                       "--device", "cpu", "--cfg-options", *ONE_EPOCH)
    assert code == 0
    assert f"confusion matrix: {work / 'test_confusion_matrix.png'}" in out
    assert out.rstrip().endswith(f"checkpoint: {work / 'best.pth'}")
    summary = (work / "summary.txt").read_text()
    assert summary in out and str(config) in summary and "next" in summary

    scores = workspace / "new" / "scores.json"
    words = ["test", config, work / "best.pth", "--data", workspace / "data", "--device", "cpu",
             "--work-dir", workspace / "tested", "--out", scores]
    code, tested, _ = run(capsys, *words)
    assert code == 0
    # test prints the same tables as train.
    assert out.partition("\ntrained ")[0].strip() in tested
    assert all(name in tested for name in (*tiny.CLASSES, "top1", "precision"))
    assert f"confusion matrix: {workspace / 'new' / 'scores.png'}" in tested
    content = json.loads(scores.read_text())
    assert set(content["classes"]) == set(tiny.CLASSES) and content["images"] == 6
    with Image.open(workspace / "new" / "scores.png") as image:
        assert image.format == "PNG"

    # Neither file is overwritten, and the test is not started.
    scores.unlink()
    before = (workspace / "new" / "scores.png").read_bytes()
    code, tested, err = run(capsys, *words)
    assert (code, tested) == (2, "")
    assert err.startswith("error: ") and "scores.png" in err and err.count("\n") == 1
    assert (workspace / "new" / "scores.png").read_bytes() == before and not scores.exists()


def test_confusion_matrix_may_not_overwrite_scores(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "test", workspace / "tiny_class.py", "x.pth", "--out",
                         workspace / "matrix.png")
    assert (code, out) == (2, "")
    assert "matrix.png" in err and "matrix.json" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "{config}", "--data", "nonsense"], "'nonsense': no such file or folder"),
        (["train", "{config}", "--data", "{folder}/empty"], "empty"),
        (["train", "{nowhere}"], "the config's dataset files do not exist: "),
        (["test", "{nowhere}", "{detector}"], "the config's dataset files do not exist: "),
        (["test", "{config}", "{detector}", "--data", "{folder}/data"], "none of the 2 classes"),
        (["test", "{config}", "{folder}/none.pth", "--data", "{folder}/data"], "none.pth"),
        (["train", "{config}", "--backbone-from", "none.pth"], "none.pth: no such file"),
        (["train", "{detector_config}", "--data", "{folder}/data"],
         "no annotation file; the folder holds 18 images: expected COCO json or Pascal VOC xml; "
         "images with class labels and without boxes train a classifier, such as "
         "configs/classify_efficientnet_lite0.py"),
    ],
    ids=["missing data", "empty data", "missing data of config", "test without data",
         "other classes", "no checkpoint", "no backbone", "class folders for a detector"],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    words: list[str], message: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "empty").mkdir(exist_ok=True)
    (workspace / "elsewhere").mkdir(exist_ok=True)
    torch.save({"state_dict": {"backbone.x": torch.zeros(1)},
                "meta": {"dataset_meta": {"classes": ("cat", "dog")}}}, workspace / "detector.pth")
    names = {"config": workspace / "tiny_class.py", "folder": workspace,
             "nowhere": tiny.write_config(workspace / "elsewhere", Path("/nowhere")),
             "detector": workspace / "detector.pth",
             "detector_config": ROOT / "configs" / "quickstart.py"}
    code, out, err = run(capsys, *(word.format(**names) for word in words),
                         "--work-dir", workspace / "unused", "--device", "cpu")
    assert (code, out) == (2, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "billions", "millions"),
    [
        # arXiv 2103.14030, table 1.
        pytest.param("swin", 4.5, 28.3, marks=pytest.mark.slow),
        # arXiv 2301.00808, table 8: 4.47 G, which counts the norms of responses as well.
        ("convnextv2", 4.47, 28.6),
        # arXiv 1905.11946, table 2.
        pytest.param("efficientnet", 0.39, 5.3, marks=pytest.mark.slow),
    ],
)
def test_complexity_matches_publications(
    name: str, billions: float, millions: float, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "cost.json"
    code, out, _ = run(capsys, "complexity", ROOT / "configs" / f"classify_{name}.py", "--out",
                       file)
    assert code == 0
    assert "one image of 224x224 (height x width), 1000 classes" in out
    assert "--cfg-options model.head.num_classes=N" in out
    content = json.loads(file.read_text())
    assert content["classes"] == 1000 and content["classes_assumed"]
    assert {part["name"] for part in content["parts"]} == {"backbone", "head"}
    assert round(content["whole"]["parameters"] / 1e6, 1) == millions
    assert content["whole"]["multiply_adds"] / 1e9 == pytest.approx(billions, rel=0.012)


@pytest.mark.parametrize(
    ("resize", "size"),
    [
        ("dict(type='torchvision/Resize', size=(48, 64))", "48x64"),
        ("dict(type='torchvision/Resize', size=36), dict(type='torchvision/CenterCrop', size=32)",
         "32x32"),
        pytest.param("dict(type='torchvision/CenterCrop', size=(32, 40))", "32x40",
                     marks=pytest.mark.slow),
    ],
    ids=["both sides", "crop", "non-square crop"],
)
def test_complexity_uses_test_size(
    resize: str, size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny.write_config(tmp_path, Path("/nowhere"), f"""
test_dataloader["dataset"].update(pipeline=[dict(type="LoadClsImage"), {resize}])
""")
    code, out, _ = run(capsys, "complexity", config, "--cfg-options", "model.head.num_classes=7")
    assert code == 0
    assert f"one image of {size} (height x width), 7 classes" in out and "ImageNet" not in out


def test_complexity_requires_size_when_config_has_no_crop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny.write_config(tmp_path, Path("/nowhere"), """
test_dataloader["dataset"].update(pipeline=[dict(type="torchvision/Resize", size=32)])
""")
    code, out, err = run(capsys, "complexity", config)
    assert (code, out) == (2, "")
    assert "no crop" in err and "--size" in err
