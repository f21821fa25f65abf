"""The quickstart training reaches the AP in its config, on any processor and with any seed."""

import re

import pytest

from detkit.engine.run import train

RANGE = re.compile(r"Expected: (0\.\d+) to (0\.\d+) AP, (0\.\d+) to (0\.\d+) AP50")


def expected(repository):
    """The range of AP, then of AP50, in the docstring of the config."""
    text = (repository / "configs" / "quickstart.py").read_text(encoding="utf-8")
    return [float(number) for number in RANGE.search(text).groups()]


def test_readme_states_expected_range_of_quickstart(repository):
    low, high, low50, high50 = expected(repository)
    assert 0 < high - low <= 0.02 and 0 < high50 - low50 <= 0.02
    readme = (repository / "README.md").read_text(encoding="utf-8")
    line = next(line for line in readme.splitlines() if "`make quickstart` |" in line)
    assert f"{low:.3f} to {high:.3f} | {low50:.3f} to {high50:.3f}" in line


@pytest.mark.slow
def test_new_seed_is_within_expected_range(repository, tmp_path):
    """In bfloat16 or float32, depending on the processor."""
    # A new seed may be slightly outside the range of a few runs.
    margin = 0.01
    result = train(repository / "configs" / "quickstart.py", data="sample", work_dir=tmp_path,
                   seed=12, device="cpu")
    low, high, low50, high50 = expected(repository)
    assert low - margin <= result.test.metrics["coco/bbox_mAP"] <= high + margin
    assert low50 - margin <= result.test.metrics["coco/bbox_mAP_50"] <= high50 + margin
