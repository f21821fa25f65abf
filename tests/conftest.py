"""Fixtures for the whole suite. The one place that knows where the real data lies."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import detkit  # noqa: F401  places the finder before any test file imports mmcv.ops

# Before torch is imported, here and in what the tests start: at the sizes of tests a second thread
# gains nothing, and on a busy machine threads that wait for each other lose a factor of ten.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the suite in the background has it ignore Ctrl-C, and what the tests start
# would inherit that: the tests of Ctrl-C would wait for nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"
SHARED_DATA = SHARED / "data"
SHARED_CASES = SHARED / "cases"


@pytest.fixture(scope="module", autouse=True)
def no_scope_is_left() -> Iterator[None]:
    """A run puts its config's scope of names in force; the next file's tests begin without one."""
    yield
    module = sys.modules.get("mmengine.registry.default_scope")
    if module is not None:
        module.DefaultScope._instance_dict.clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data (../shared/data) is not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of small inputs that people bring; its README says the right outcome of each."""
    if not SHARED_CASES.is_dir():
        pytest.skip("the cases (../shared/cases) are not beside this checkout")
    return SHARED_CASES


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return Path(__file__).resolve().parents[1]
