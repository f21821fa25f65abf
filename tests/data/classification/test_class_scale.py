"""A hundred thousand images: time and memory of loading them."""

import subprocess
import sys

import pytest
from class_sets import numbered_jpeg

PROGRAM = """
import resource, sys, time
from pathlib import Path
import detkit.data.classification.cls_dataset
from detkit.data.classification.load_classification_data import load_classification_data
def mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start, worked = mib(), time.perf_counter(), time.process_time()
data = load_classification_data(sys.argv[1], Path(sys.argv[2]))
opened, worked = time.perf_counter() - start, time.process_time() - worked
split = data.splits["train"]
dataset = detkit.data.classification.cls_dataset.ClsDataset(
    str(split.annotation_file), {"classes": data.classes}, data_prefix={"img":
    str(split.image_dir)})
print(len(dataset), opened, time.perf_counter() - start - opened, mib() - before, worked)
"""


@pytest.mark.slow
def test_100_000_images_of_one_size_open_in_seconds(tmp_path):
    # All of one size and with the same last bytes, so that each is read whole: the worst case.
    for label in range(100):
        folder = tmp_path / "set" / f"class{label:02d}"
        folder.mkdir(parents=True)
        for at in range(1000):
            (folder / f"{at:04d}.jpg").write_bytes(numbered_jpeg(1000 * label + at))
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "set"),
                           str(tmp_path / "work")], capture_output=True, text=True, check=True)
    count, opened, listed, grown_mib, worked = map(float, done.stdout.split())
    print(f"opened in {opened:.1f} s ({worked:.1f} s of work), "
          f"listed in {listed:.1f} s, {grown_mib:.0f} MiB")
    assert count == 80_000
    assert worked < 90 and grown_mib < 500
