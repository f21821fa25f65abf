"""One OpenVINO Core per process: signals reach their handler after engines were closed."""

import subprocess
import sys

import pytest

pytest.importorskip("openvino")

# A model with constant outputs; the results do not matter here.
PROGRAM = """
import gc, os, signal
import numpy as np
import openvino
from openvino import opset14 as ops
from detkit.inference.engines.openvino.engine import OpenVinoEngine

def small_model(width):
    images = ops.parameter([-1, 32, width, 3], np.uint8)
    valid_hw = ops.parameter([-1, 2], np.int64)
    return openvino.Model([ops.relu(ops.convert(images, "f32")), ops.convert(valid_hw, "f32")],
                          [images, valid_hw])

got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
{body}
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
assert got == [1]
print("alive")
"""
BODIES = {
    "engines end in the order in which they were made": """
first, second = (OpenVinoEngine(small_model(width), (32, width)) for width in (32, 64))
first.close()
del first
gc.collect()
second.close()
del second
""",
    "a Core of someone else comes and goes between them": """
first = OpenVinoEngine(small_model(32), (32, 32))
other = openvino.Core()
other.get_property("CPU", "FULL_DEVICE_NAME")
second = OpenVinoEngine(small_model(64), (32, 64))
del first
gc.collect()
del other
gc.collect()
del second
""",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_signal_after_closing_engines_reaches_handler(body: str) -> None:
    """With one Core per engine the process dies of SIGSEGV on every processor."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM.format(body=body)],
                         capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "alive\n"), ran.stderr


def test_core_is_created_in_one_module(repository) -> None:
    rooms = (repository / "detkit").rglob("*.py")
    assert [path.name for path in rooms if "Core()" in path.read_text(encoding="utf-8")] == [
        "shared_core.py"]
