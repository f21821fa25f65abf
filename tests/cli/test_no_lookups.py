"""No command looks up a host name that the user did not give: there is no telemetry."""

import os
import subprocess
import sys

import numpy as np
import pytest
from name_lookups import cannot_isolate, run_isolated
from own_truth import write_own_truth
from PIL import Image
from thumbnail_checkpoint import CONFIG, save_thumbnail

# Variables that would disable telemetry anyway.
SWITCHES = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS",
            "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "GRADIO_ANALYTICS_ENABLED")
# ONNX Runtime sends its telemetry some seconds after its start.
LINGER = ("import sys, time; from detkit.cli.main import main; code = main(sys.argv[1:]); "
          "time.sleep({}); sys.exit(code)")
SERVE = """
import os, signal, sys, threading
from detkit.cli.main import main
threading.Timer(20, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
main(sys.argv[1:])
"""
COMMANDS = {
    "train": "train configs/quickstart.py --data {data} --work-dir {out} --device cpu"
             " --cfg-options train_cfg.max_epochs=1 train_dataloader.batch_size=2",
    "test": "test {config} {checkpoint} --data {data} --work-dir {out} --device cpu",
    "evaluate": "evaluate {annotations} {results}",
    "predict": "predict {checkpoint} {image} --out {out} --device cpu",
    "predict-engine": "predict {checkpoint} {image} --out {out} --engine auto --device cpu",
    "video": "video {checkpoint} {video} --out {out}.mp4 --device cpu",
    "export-openvino": "export {checkpoint} --data {data} --out {out} --device cpu",
    "export-int8": "export {checkpoint} --data {data} --out {out} --device cpu --precision int8"
                   " --max-ap-drop 100",
    "export-onnx": "export {checkpoint} --data {data} --out {out} --device cpu --format onnx",
    "export-torch": "export {checkpoint} --data {data} --out {out} --device cpu --format torch",
    "benchmark": "benchmark {checkpoint} --data {data} --device cpu",
    "weights": "weights",
    "complexity": "complexity configs/quickstart.py --size 96x96",
    "serve": "serve {checkpoint} --device cpu --port 0",
}


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """The environment of a new user, with an empty home folder."""
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    return {**kept, "HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
def input_paths(tmp_path_factory):
    """The inputs of the commands, by their placeholders."""
    import json

    import av

    folder = tmp_path_factory.mktemp("given")
    checkpoint = save_thumbnail(folder / "thumbnail.pth")
    (folder / "config.py").write_text(
        CONFIG + "test_cfg = dict()\ntest_evaluator = dict(type='CocoMetric', metric='bbox')\n")
    data = write_own_truth(folder / "data", checkpoint)
    image = folder / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(image)
    annotations = data / "annotations" / "val.json"
    results = folder / "results.json"
    results.write_text(json.dumps([
        {**{name: item[name] for name in ("image_id", "category_id", "bbox")}, "score": 0.5}
        for item in json.loads(annotations.read_text())["annotations"]]))
    with av.open(str(folder / "video.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", 10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    return {"config": folder / "config.py", "checkpoint": checkpoint, "data": data,
            "image": image, "annotations": annotations, "results": results,
            "video": folder / "video.mp4"}


@pytest.fixture(scope="module")
def isolated():
    reason = cannot_isolate()
    if reason:
        pytest.skip(reason)


def test_name_lookup_is_detected(isolated, env, repository):
    code = "import socket\ntry: socket.gethostbyname('host.example.org')\nexcept OSError: pass"
    done, names = run_isolated([sys.executable, "-c", code], repository, env)
    assert done.returncode == 0 and "host.example.org" in names


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_command_makes_no_name_lookup(name, isolated, env, input_paths, repository, tmp_path):
    words = COMMANDS[name].format(**input_paths, out=tmp_path / "out").split()
    code = SERVE if name == "serve" else LINGER.format(5)
    done, names = run_isolated([sys.executable, "-c", code, *words], repository, env)
    assert done.returncode == (0 if name != "serve" else done.returncode), done.stderr
    assert names == []


def test_libraries_are_imported_without_telemetry(env, repository):
    """Telemetry modules are not imported, and the variables that disable them are set."""
    code = ("import os, sys;"
            "from detkit.inference.engines.openvino.shared_core import import_openvino;"
            "from detkit.inference.engines.no_telemetry import import_onnxruntime, import_nncf;"
            "import_openvino(), import_onnxruntime(), import_nncf();"
            "modules = [name for name in sys.modules if name.startswith('openvino_telemetry')];"
            "assert [name for name in modules if sys.modules[name]] == [], modules;"
            "from nncf.telemetry.wrapper import telemetry;"
            "from unittest.mock import Mock; assert isinstance(telemetry, Mock), telemetry;"
            "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'")
    pytest.importorskip("nncf")
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, env=env,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Files with the machine ids of ONNX Runtime and OpenVINO.
    assert not [name for name in os.listdir(env["HOME"]) if name in ("intel", ".cache")]
