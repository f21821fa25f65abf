"""Every command with missing, invalid and contradictory arguments: one line, exit code 2."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import tiny_training
from class_checkpoint import save_class_thumbnail
from PIL import Image
from thumbnail_checkpoint import save_thumbnail

from detkit.cli.main import COMMANDS, main

RESULT = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "score": 0.5}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files and folders by their placeholders in the table."""
    root = tmp_path_factory.mktemp("odd")
    data = tiny_training.write_data(root / "data", images=2)
    save_thumbnail(root / "detector.pth")
    save_class_thumbnail(root / "classifier.pth")
    Image.new("RGB", (64, 48), (200, 30, 30)).save(root / "image.png")
    (root / "empty").write_bytes(b"")
    (root / "text.txt").write_text("neither json nor weights\n")
    (root / "config_of_nothing.py").write_text("")
    (root / "broken.py").write_text("model = dict(\n")
    (root / "binary.py").write_bytes(bytes(range(256)))
    (root / "list.json").write_text("[1, 2]")
    (root / "number.json").write_text("7")
    (root / "results.json").write_text(json.dumps([RESULT]))
    (root / "nulls.json").write_text(json.dumps([dict.fromkeys(RESULT)]))
    (root / "folder").mkdir()
    return {
        "CONFIG": str(tiny_training.write_config(root, data)),
        "ANNOTATIONS": str(data / "train.json"),
        "DATA": str(data), "DETECTOR": str(root / "detector.pth"),
        "CLASSIFIER": str(root / "classifier.pth"), "IMAGE": str(root / "image.png"),
        "ROOT": str(root), "FOLDER": str(root / "folder"), "EMPTY": str(root / "empty"),
        "TEXT": str(root / "text.txt"), "RESULTS": str(root / "results.json"),
    }


# Arguments as on a command line; capitals are replaced by the paths above.
LINES = """
# Inputs: missing, a folder for a file, a file of another type, empty.
train ROOT/absent.py
train ''
train FOLDER
train EMPTY
train TEXT
train DETECTOR
train IMAGE
train ROOT/config_of_nothing.py
train ROOT/broken.py
train ROOT/binary.py
train ROOT/list.json
train ROOT/number.json
train CONFIG --data ROOT/absent
train CONFIG --data ''
train CONFIG --data IMAGE
train CONFIG --data EMPTY
train CONFIG --data FOLDER
train CONFIG --data DETECTOR
train CONFIG --resume ROOT/absent.pth
train CONFIG --resume FOLDER
train CONFIG --resume TEXT
train CONFIG --resume EMPTY
train CONFIG --resume DETECTOR
train CONFIG --resume ''
train CONFIG --backbone-from FOLDER
train CONFIG --backbone-from TEXT
train CONFIG --backbone-from ''
train CONFIG --backbone-from CONFIG
test CONFIG CONFIG
test DETECTOR CONFIG
test CONFIG FOLDER
test CONFIG EMPTY
test CONFIG CLASSIFIER
test CONFIG DETECTOR
test CONFIG ''
test '' DETECTOR
evaluate ANNOTATIONS FOLDER
evaluate FOLDER RESULTS
evaluate RESULTS ANNOTATIONS
evaluate ANNOTATIONS EMPTY
evaluate EMPTY RESULTS
evaluate ANNOTATIONS IMAGE
evaluate ANNOTATIONS ROOT/list.json
evaluate ANNOTATIONS ROOT/number.json
evaluate ANNOTATIONS ROOT/nulls.json
evaluate ROOT/number.json RESULTS
evaluate '' ''
predict CONFIG IMAGE --out ROOT/o
predict IMAGE DETECTOR --out ROOT/o
predict FOLDER IMAGE --out ROOT/o
predict EMPTY IMAGE --out ROOT/o
predict '' IMAGE --out ROOT/o
predict DETECTOR '' --out ROOT/o
predict DETECTOR ROOT/absent.png --out ROOT/o
predict DETECTOR FOLDER --out ROOT/o
video CONFIG IMAGE --out ROOT/o.mp4
video DETECTOR ROOT/absent.mp4 --out ROOT/o.mp4
video DETECTOR TEXT --out ROOT/o.mp4
video DETECTOR EMPTY --out ROOT/o.mp4
video DETECTOR FOLDER --out ROOT/o.mp4
video DETECTOR '' --out ROOT/o.mp4
video DETECTOR 99 --out ROOT/o.mp4
video DETECTOR -1 --out ROOT/o.mp4
export CONFIG --out ROOT/e
export FOLDER --out ROOT/e
export CLASSIFIER --out ROOT/e
export '' --out ROOT/e
export EMPTY --out ROOT/e
export DETECTOR --out ROOT/e
export DETECTOR --out ROOT/e --data ROOT/absent
benchmark CONFIG
benchmark FOLDER
benchmark CLASSIFIER
benchmark ''
benchmark DETECTOR --data ROOT/absent
benchmark DETECTOR --data IMAGE
serve CONFIG --port auto
serve FOLDER --port auto
serve '' --port auto
serve EMPTY --port auto
serve ROOT/absent.pth --port auto
complexity DETECTOR
complexity FOLDER
complexity ''
complexity EMPTY
complexity ROOT/config_of_nothing.py
complexity IMAGE
# Outputs: below a file, existing, of an unsupported format.
train CONFIG --work-dir TEXT
train CONFIG --work-dir TEXT/inside
test CONFIG DETECTOR --out TEXT
test CONFIG DETECTOR --out FOLDER
test CONFIG DETECTOR --out TEXT/s.json
evaluate ANNOTATIONS RESULTS --out FOLDER
evaluate ANNOTATIONS RESULTS --out TEXT/s.json
evaluate ANNOTATIONS RESULTS --out RESULTS --force
evaluate ANNOTATIONS RESULTS --out TEXT
predict DETECTOR IMAGE --out TEXT
predict DETECTOR IMAGE --out TEXT/inside
predict DETECTOR IMAGE --out ROOT
video DETECTOR IMAGE --out FOLDER
video DETECTOR IMAGE --out ROOT/o.txt
video DETECTOR IMAGE --out TEXT/o.mp4
video DETECTOR IMAGE --out ROOT/image.png
video DETECTOR IMAGE --json TEXT
video DETECTOR IMAGE
video DETECTOR IMAGE --out ''
export DETECTOR --out TEXT
export DETECTOR --out TEXT/inside
export DETECTOR --out ROOT
benchmark DETECTOR --no-ap --out FOLDER
benchmark DETECTOR --no-ap --out TEXT
benchmark DETECTOR --no-ap --out TEXT/rows.json
complexity CONFIG --out TEXT
complexity CONFIG --out FOLDER
complexity CONFIG --out TEXT/c.json
# Invalid values, and flags that exclude each other.
train CONFIG --device tpu
train CONFIG --device ''
train CONFIG --device cuda:99
train CONFIG --device cpu:0
train CONFIG --seed -1
train CONFIG --seed x
train CONFIG --seed 99999999999
train CONFIG --launcher pytorch
train CONFIG --launcher slurm
train CONFIG --launcher mpi
train CONFIG --launcher x
train CONFIG --cfg-options x
train CONFIG --cfg-options =1
train CONFIG --cfg-options a=1
train CONFIG --cfg-options model=3
train CONFIG --cfg-options model.x.y.z=3
train CONFIG --cfg-options model..backbone=3
train CONFIG --cfg-options .model=3
train CONFIG --cfg-options param_scheduler.9.begin=3
train CONFIG --cfg-options param_scheduler.x.begin=3
train CONFIG --cfg-options train_dataloader.batch_size=-1
train CONFIG --cfg-options train_dataloader.batch_size=0
train CONFIG --cfg-options train_dataloader.batch_size=x
train CONFIG --cfg-options train_dataloader.num_workers=-1
train CONFIG --cfg-options train_cfg.max_epochs=x
train CONFIG --cfg-options train_cfg=None
train CONFIG --cfg-options train_cfg.val_interval=0
train CONFIG --cfg-options optim_wrapper.optimizer.lr=-1
train CONFIG --cfg-options optim_wrapper.optimizer.lr=x
train CONFIG --cfg-options optim_wrapper=None
train CONFIG --cfg-options default_scope=x
train CONFIG --cfg-options load_from=FOLDER
train CONFIG --cfg-options load_from=TEXT
train CONFIG --cfg-options work_dir=7 load_from=ROOT/absent.pth
train CONFIG --amp --cfg-options optim_wrapper.type=ApexOptimWrapper
train CONFIG --auto-scale-lr --cfg-options auto_scale_lr.base_batch_size=0
train CONFIG --auto-scale-lr --cfg-options auto_scale_lr=None
predict DETECTOR IMAGE --out ROOT/o --threshold 2
predict DETECTOR IMAGE --out ROOT/o --threshold nan
predict DETECTOR IMAGE --out ROOT/o --top-k 2
predict CLASSIFIER IMAGE --out ROOT/o --top-k 0
predict DETECTOR IMAGE --out ROOT/o --device gpu
predict DETECTOR IMAGE --out ROOT/o --engine x
predict DETECTOR IMAGE --out ROOT/o --engine mmdet --precision int8
predict DETECTOR IMAGE --out ROOT/o --engine mmdet --size 64
predict CLASSIFIER IMAGE --out ROOT/o --engine openvino
predict CLASSIFIER IMAGE --out ROOT/o --max-proposals 3
predict DETECTOR IMAGE --out ROOT/o --size 0x0
predict DETECTOR IMAGE --out ROOT/o --size ''
predict DETECTOR IMAGE --out ROOT/o --max-proposals -3
video CLASSIFIER IMAGE --out ROOT/o.mp4 --track
video DETECTOR IMAGE --out ROOT/o.mp4 --fps 0
video DETECTOR IMAGE --out ROOT/o.mp4 --window 3
video DETECTOR IMAGE --out ROOT/o.mp4 --fps x
video DETECTOR IMAGE --out ROOT/o.mp4 --count-line 1,2,3
video DETECTOR IMAGE --out ROOT/o.mp4 --zone 1,2,3,4
video DETECTOR IMAGE --out ROOT/o.mp4 --batch 0
video DETECTOR IMAGE --out ROOT/o.mp4 --target-fps inf
export DETECTOR --out ROOT/e --format onnx --precision int8
export DETECTOR --out ROOT/e --size x
export DETECTOR --out ROOT/e --max-ap-drop nan
export DETECTOR --out ROOT/e --batch 0
export DETECTOR --out ROOT/e --calibration -1
benchmark DETECTOR --runs 0
benchmark DETECTOR --engine x
benchmark DETECTOR --size 1x2x3
serve DETECTOR --port 99999
serve DETECTOR --port x
serve DETECTOR --port auto --host nowhere.invalid
serve DETECTOR --port auto --max-upload 0
serve DETECTOR --port auto --threshold -1
complexity CONFIG --size 0
complexity CONFIG --size x
complexity CONFIG --cfg-options model=3
complexity CONFIG --cfg-options model.backbone.depth=x
configs nosuch
configs --full
train nosuch
train CONFIG --epochs 0
train CONFIG --size x
train CONFIG --weights nosuch.pth
weights --fetch
weights lite0
weights ''
weights --fetch efficientnet_lite0.lukemelas ROOT/absent
"""


def _words(line: str, paths: dict[str, str]) -> list[str]:
    words = [word.strip("'") for word in line.split(" ")]  # '' is an empty word
    for name, path in paths.items():
        words = [path + word[len(name):] if word.split("/")[0] == name
                 else word.replace(f"={name}", f"={path}") for word in words]
    return words


@pytest.mark.parametrize("line", [line for line in LINES.splitlines() if line and line[0] != "#"])
def test_bad_arguments_are_one_line_error(
    line: str, paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    # Two runs in one second share mmengine's log, whose stream pytest closes after the first.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    for name in ("LOCAL_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    before = Path(paths["TEXT"]).read_text(), sorted(Path(paths["ROOT"]).iterdir())
    code = main(_words(line, paths))
    err = capsys.readouterr().err
    assert code == 2, err[-500:]
    assert "error: " in err.splitlines()[-1] and "Traceback" not in err
    assert (Path(paths["TEXT"]).read_text(), sorted(Path(paths["ROOT"]).iterdir())) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_missing_arguments_and_unknown_flags_show_usage(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Without a name they list all.
    needed = [] if command in ("weights", "configs") else [[]]
    for words in (*needed, ["--no-such-flag"], ["a", "b", "c", "d", "--out"]):
        assert main([command, *words]) == 2
        assert f"usage: detkit {command}" in capsys.readouterr().err
