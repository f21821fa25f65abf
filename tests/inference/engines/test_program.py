"""A program's file is data: what else it might hold is not run."""

import json
import pickle
import zipfile

import pytest
import torch

from detkit.errors import ExportError
from detkit.inference.engines.program import load_program, save_program


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "double.pt2"
    layer = torch.nn.Linear(3, 2)
    save_program(torch.export.export(layer, (torch.zeros(1, 3),)), path)
    return path, layer


def test_a_program_comes_back_as_it_was(program):
    path, layer = program
    picture = torch.arange(3.0)[None]
    torch.testing.assert_close(load_program(path)(picture), layer(picture))


def test_a_pickled_object_in_the_file_is_not_run(program, tmp_path):
    path, _ = program
    spoilt, touched = tmp_path / "spoilt.pt2", tmp_path / "touched"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(spoilt, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith("weights_config.json"):
                config = json.loads(content)
                for one in config["config"].values():
                    one["use_pickle"] = True
                content = json.dumps(config).encode()
            elif "/weights/weight_" in info.filename:
                content = pickle.dumps(Touch(touched))
            new.writestr(info.filename, content)
    with pytest.raises(ExportError, match="spoilt.pt2"):
        load_program(spoilt)
    assert not touched.exists()
    # What the file would have done, where nothing is forbidden.
    pickle.loads(pickle.dumps(Touch(touched)))
    assert touched.exists()
