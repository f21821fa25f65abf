"""Files of torch's own export format that run code as torch reads them: each makes a file."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import torch

CONSTANTS = "data/constants/model_constants_config.json"
MODEL = "models/model.json"


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


class Sized(torch.nn.Module):
    """Its program holds a size that is a symbol."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.reshape(images.shape[0] * 3)


def _rewrite(path: Path, change: Any, added: dict[str, bytes] | None = None) -> Path:
    """The archive with ``change(name, content)`` for each entry's content, and more entries."""
    entries: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as old:
        root = old.namelist()[0].split("/")[0]
        for info in old.infolist():
            name = info.filename.partition("/")[2]
            entries[name] = change(name, old.read(info))
    with zipfile.ZipFile(path, "w") as new:
        for name, content in {**entries, **(added or {})}.items():
            new.writestr(f"{root}/{name}", content)
    return path


def opaque_constant(path: Path, touched: Path) -> Path:
    """A constant that is a pickled object."""
    def change(name: str, content: bytes) -> bytes:
        if name != CONSTANTS:
            return content
        config = json.loads(content)
        config["config"]["one"] = {"path_name": "opaque_obj_0", "is_param": False,
                                   "use_pickle": True, "tensor_meta": None}
        return json.dumps(config).encode()

    return _rewrite(path, change, {"data/constants/opaque_obj_0": pickle.dumps(Touch(touched))})


def size_expression(path: Path, touched: Path) -> Path:
    """A size that is an expression, which sympy evaluates as Python."""
    code = f"__import__('pathlib').Path({str(touched)!r}).touch() or Symbol('s77', integer=True)"

    def change(name: str, content: bytes) -> bytes:
        if name != MODEL:
            return content
        model = json.loads(content)
        sizes = model["graph_module"]["graph"]["sym_int_values"]
        for item in sizes.values():
            item["as_expr"]["expr_str"] = code
        assert sizes, "a program without a symbolic size shows nothing"
        return json.dumps(model).encode()

    return _rewrite(path, change)


def shared_library(path: Path, touched: Path) -> Path | None:
    """A compiled library, which torch loads; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = touched.with_suffix(".so")
    source = ('#include <stdio.h>\n__attribute__((constructor)) static void go(void)'
              '{fclose(fopen("%s","w"));}' % touched)
    subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)],
                   input=source, text=True, check=True)
    metadata = json.dumps({"AOTI_DEVICE_KEY": "cpu"}).encode()
    return _rewrite(path, lambda name, content: content, {
        "data/aotinductor/model/model.so": library.read_bytes(),
        "data/aotinductor/model/model.wrapper.so": library.read_bytes(),
        "data/aotinductor/model/model.wrapper_metadata.json": metadata,
        "data/aotinductor/model/model_metadata.json": metadata})


def save_program(path: Path) -> Path:
    """A program without anything in it that runs."""
    batch = torch.export.Dim("batch", min=1, max=9)
    program = torch.export.export(Sized(), (torch.zeros(2, 3),), dynamic_shapes=({0: batch},))
    torch.export.save(program, str(path))
    return path
