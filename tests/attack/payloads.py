"""Pickles that run code when they are read, each harmless: it makes one empty file."""

from __future__ import annotations

import builtins
import importlib
import os
import pickle
import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any


class PickledCall:
    """An object that is pickled as a call."""

    def __init__(self, function: Any, *words: Any, state: Any = None) -> None:
        self.parts = (function, words) if state is None else (function, words, state)

    def __reduce__(self) -> tuple:
        return self.parts

    def __call__(self) -> None:
        """As what is pickled as a function must have it."""


def code_text(canary: Path) -> str:
    """An expression of Python that makes the file."""
    return f"__import__('pathlib').Path({str(canary)!r}).touch()"


def payload(rng: random.Random, canary: Path) -> Any:
    """An object whose pickle makes the file when it is read."""
    import torch

    code, touch = code_text(canary), f"touch '{canary}'"
    made: list[Callable[[], Any]] = [
        lambda: PickledCall(os.system, touch), lambda: PickledCall(builtins.eval, code),
        lambda: PickledCall(builtins.exec, code),
        lambda: PickledCall(subprocess.call, ["touch", str(canary)]),
        lambda: PickledCall(os.popen, touch), lambda: PickledCall(
            PickledCall(builtins.getattr, PickledCall(importlib.import_module, "os"), "system"),
            touch), lambda: PickledCall(Path.touch, canary),
        lambda: PickledCall(open, str(canary), "w"), lambda: PickledCall(
            torch.load, str(canary.parent / "beside" / "evil.pkl"), None, pickle, False),
        lambda: PickledCall(torch._utils._rebuild_tensor_v2, PickledCall(os.system, touch), 0,
                            (1, ), (1, ), False, {}), lambda:
        PickledCall(torch._utils._rebuild_parameter, PickledCall(builtins.eval, code), False, {}),
        lambda: PickledCall(torch.nn.Linear, 1, 1, state={"_x": PickledCall(os.system, touch)}),
        lambda: PickledCall(map, os.system, [touch]), lambda: {PickledCall(os.system, touch): 1},
        lambda: PickledCall(torch.jit.CompilationUnit, code),
    ]
    value = None
    while value is None:
        value = rng.choice(made)()
        try:
            pickle.dumps(value, 2)
        except Exception:  # not every release of Python and torch can write each of them
            value = None
    for _ in range(rng.randrange(3)):
        value = rng.choice([[value], {"x": value}, (value,), {1: [value]}])
    return value


def raw_pickle(rng: random.Random, canary: Path) -> bytes:
    """A pickle written by hand, with operations that no pickler writes."""
    touch = f"touch '{canary}'".encode()

    def named(module: str, name: str) -> bytes:
        return rng.choice([f"c{module}\n{name}\n".encode(),
                           b"\x8c" + bytes([len(module)]) + module.encode() + b"\x8c"
                           + bytes([len(name)]) + name.encode() + b"\x93"])

    text = b"X" + struct.pack("<I", len(touch)) + touch
    system = named(*rng.choice([("os", "system"), ("posix", "system"), ("nt", "system"),
                                ("torch.serialization.os", "system"),
                                ("torch.utils.cpp_extension.os", "system")]))
    forms = [
        system + text + b"\x85R.",
        b"(" + text + b"i" + b"os\nsystem\n.",
        b"(" + system + text + b"o.",
        system + text + b"\x85\x81.",
        b"}" + b"X\x01\0\0\0a" + system + text + b"\x85Rs.",
        b"\x82\x01.", b"\x97.", b"P1\n.", b"(" * 5000 + b".", b"]" * 100_000 + b".", b"0.", b"2.",
        b"]q\0h\0a.", b"}q\0X\x01\0\0\0ah\0s.", b"X\xff\xff\xff\x7f.",
        b"\x8d" + b"\xff" * 7 + b"\x7f.",
        b"\x8a\xff" + b"\xff" * 255 + b".", b"L" + b"9" * 5000 + b"L\n.", b"j\xff\xff\xff\x7f.",
        b"]r\xff\xff\xff\x0f.",
        named("torch._utils", "_rebuild_tensor_v2") + b"(K\0K\0K\0K\0tR.",
        named("collections", "OrderedDict") + b")R}X\x07\0\0\0__dict__X\x01\0\0\0asb.",
        named("torch", "FloatStorage") + b"K\x05\x85R.",
        named("builtins", "getattr") + named("os", "system") + b"X\x08\0\0\0__call__\x86R" + text
        + b"\x85R.",
        named("argparse", "Namespace") + b")R}X\x01\0\0\0a" + system + text + b"\x85Rsb.",
        named("mmengine.logging.history_buffer", "HistoryBuffer") + text + b"\x85R.",
        named("_codecs", "encode") + b"X\x01\0\0\0aX\x03\0\0\0zip\x86R.",
        named("numpy", "dtype") + b"X\x02\0\0\0O8\x85R.",
    ]
    return b"\x80\x02" + rng.choice(forms)
