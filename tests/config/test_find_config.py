"""Configs by name, from a checkout and from a wheel."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from detkit.config.find_config import configs_folder, find_config, list_configs
from detkit.config.load_config import load_config
from detkit.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_every_config_is_listed_with_what_it_is() -> None:
    entries = {entry.name: entry for entry in list_configs()}
    assert set(entries) == {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert entries["quickstart"].summary.startswith("The first training: Cascade R-CNN")
    # A short name has the header of the config that it stands for.
    short = entries["cascade_convnextv2"]
    target = ast.literal_eval(ast.parse(short.path.read_text("utf-8")).body[1].value)
    long = ast.get_docstring(ast.parse((ROOT / "configs" / target).read_text("utf-8")))
    assert short.header == long and "Short name" not in short.header


@pytest.mark.parametrize("text", ["quickstart", "configs/quickstart.py", "configs/quickstart",
                                  "quickstart.py"])
def test_a_name_is_found_from_any_folder(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(text) == ROOT / "configs" / "quickstart.py"


def test_a_nested_config_and_own_files_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nested = "cascade_rcnn/cascade-rcnn_swin-t_fpn_3x_coco"
    assert find_config(nested).is_file()
    own = Path("quickstart.py")
    own.write_text("model = dict()\n", encoding="utf-8")
    assert find_config("quickstart.py") == own
    Path("quickstart").mkdir()  # a work dir, perhaps
    assert find_config("quickstart") == ROOT / "configs" / "quickstart.py"
    assert load_config("quickstart").train_cfg.max_epochs == 2


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("quickstrt", "did you mean 'quickstart'"),
        ("nowhere", "'detkit configs' lists"),
        ("mine.py", "did you mean 'mines.py'"),
        ("../quickstart", "no such config file"),
        ("trian.py", "trian.py: no such config file$"),  # train.py is no config
    ],
)
def test_an_unknown_name_is_an_error(
    text: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mines.py").write_text("_base_ = 'x.py'\n", encoding="utf-8")
    Path("train.py").write_text("print('hello')\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=hint):
        find_config(text)


@pytest.mark.slow
def test_a_wheel_has_the_configs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet",
         "--wheel-dir", str(tmp_path), str(ROOT)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    wheel = next(tmp_path.glob("detkit-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    folder = configs_folder()
    assert folder is not None
    expected = {f"detkit/configs/{path.relative_to(folder).as_posix()}"
                for path in folder.rglob("*.py")}
    assert expected == {name for name in names if name.startswith("detkit/configs/")}
    code = ("import detkit; from detkit.config.load_config import load_config; "
            "print(detkit.__file__, load_config('cascade_swin_nano').model.type)")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, timeout=100, env={"PYTHONPATH": str(tmp_path / "site")})
    assert done.returncode == 0 and done.stdout.split() == [
        str(tmp_path / "site" / "detkit" / "__init__.py"), "CascadeRCNN"], done.stderr
