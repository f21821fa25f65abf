"""Importing detkit and asking for help are quick: heavy libraries come when they are used."""

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import detkit
from detkit.cli.main import COMMANDS

HEAVY = {"torch", "torchvision", "mmdet", "mmcv", "mmengine", "cv2", "av", "timm", "supervision",
         "matplotlib", "scipy", "pandas", "tensorboard", "gradio", "openvino", "nncf", "onnx",
         "onnxruntime", "trackers"}


def modules_after(code, folder):
    """Names of the top-level modules that a fresh interpreter holds after ``code``."""
    code += "; import json, sys; print(); print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


# The one file that imports each library that reports to its maker, and turns that off first.
REPORTING = {"openvino": "shared_core.py", "nncf": "no_telemetry.py",
             "onnxruntime": "no_telemetry.py"}


def test_libraries_with_telemetry_are_imported_in_one_file_only(repository_files, repository):
    found = {}
    for path in repository_files:
        name = str(path.relative_to(repository))
        if path.suffix == ".py" and name.startswith(("detkit/", "tools/", "benchmarks/")):
            for line in path.read_text(encoding="utf-8").splitlines():
                words = line.replace(",", " ").split()
                if words[:1] in (["import"], ["from"]):
                    library = words[1].split(".")[0]
                    if library in REPORTING:
                        found.setdefault(library, set()).add(path.name)
    assert found == {library: {name} for library, name in REPORTING.items()}


def test_import_detkit_imports_nothing_heavy(repository):
    assert not modules_after("import detkit", repository) & HEAVY


def test_reading_data_imports_nothing_heavy(repository):
    code = ("import detkit.data.detection.load_detection_data\n"
            "import detkit.data.classification.load_classification_data")
    assert not modules_after(code, repository) & HEAVY


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(command, repository):
    code = f"from detkit.cli.main import main; assert main(['{command}', '--help']) == 0"
    assert not modules_after(code, repository) & HEAVY


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_tool_works(command, repository):
    done = subprocess.run([sys.executable, f"tools/{command}.py", "--help"], cwd=repository,
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: tools/{command}.py" in done.stdout and "examples:" in done.stdout


def test_every_module_can_be_imported():
    names = [item.name for item in pkgutil.walk_packages(detkit.__path__, "detkit.")]
    missing = {}
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing[name] = str(error)
    assert len(names) > 30
    assert not missing
