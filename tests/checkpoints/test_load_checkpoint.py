"""Loading checkpoints: valid files, and files that unpack to too much or execute code."""

from __future__ import annotations

import copy
import os
import pickle
import resource
import socket
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from detkit.checkpoints.content import check_state_dict
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import WeightsError

MIB = 1 << 20


def _repack(
    source: Path, target: Path, compression: int, edit: Callable[[str, bytes], bytes]
) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = edit(entry.filename, old.read(entry))
            new.writestr(entry.filename, content, compress_type=compression)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _rejection_message(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert path.name in message and "\n" not in message
    return message


def test_compressed_zip_entry_is_rejected_before_unpacking(tmp_path: Path) -> None:
    # 256 MiB of zeros, which deflate compresses to a thousandth.
    torch.save({"a": torch.zeros(64 * MIB)}, tmp_path / "whole.pth")
    bomb = tmp_path / "bomb.pth"
    _repack(tmp_path / "whole.pth", bomb, zipfile.ZIP_DEFLATED, lambda _, content: content)
    assert bomb.stat().st_size < MIB
    before = _peak_mib()
    assert "a compressed entry, whole/data" in _rejection_message(bomb)
    assert _peak_mib() - before < 64


def test_overlapping_zip_entries_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "same.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("same/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("same/data/0", bytes(MIB))
        for index in range(1, 100):
            again = copy.copy(archive.getinfo("same/data/0"))
            again.filename = f"same/data/{index}"
            archive.filelist.append(again)
    # 100 entries of 1 MiB and the pickle, in a file of little more than 1 MiB.
    assert "entries of 104,857,6" in _rejection_message(path)


@pytest.mark.parametrize("lead", [b"PK\x05\x06" + bytes(18), b"x"], ids=["end", "byte"])
def test_archive_with_data_before_directory_is_rejected(
    lead: bytes, tmp_path: Path
) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "good.pth")
    content = (tmp_path / "good.pth").read_bytes()
    offset = content.index(b"PK\x01\x02")
    (tmp_path / "two.pth").write_bytes(content[:offset] + lead + content[offset:])
    assert "directory" in _rejection_message(tmp_path / "two.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_tensor_larger_than_the_file_is_rejected(zipped: bool, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(70_000)}, tmp_path / "good.pth",
               _use_new_zipfile_serialization=zipped)
    claimed = struct.pack("<i", 1 << 29)  # floats: 2 GiB
    old = struct.pack("<i", 70_000)
    bad = tmp_path / "bad.pth"
    if zipped:
        _repack(tmp_path / "good.pth", bad, zipfile.ZIP_STORED,
                lambda name, content: content.replace(old, claimed))
    else:
        bad.write_bytes((tmp_path / "good.pth").read_bytes().replace(old, claimed))
    assert "tensors of 2,147,483,648 bytes or more, in a file of 2" in _rejection_message(bad)


class _Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _nested_list(times: int) -> Any:
    import codecs

    value: Any = b"xxxxxxxx"
    for _ in range(times):
        value = _Call(codecs.encode, value, "hex")
    return value


@pytest.mark.parametrize("value", [
    _Call(bytearray, 512 * MIB),
    _Call(np.ndarray, (512 * MIB,)),
    _Call(torch.FloatTensor, 128 * MIB),
    _Call(torch.UntypedStorage, 512 * MIB),
    _nested_list(26),
], ids=["bytearray", "numpy", "tensor", "storage", "codec"])
def test_pickle_call_that_expands_memory_is_rejected(value: Any, tmp_path: Path) -> None:
    torch.save({"a": value}, tmp_path / "bad.pth")
    before = _peak_mib()
    _rejection_message(tmp_path / "bad.pth")
    assert _peak_mib() - before < 64


def test_tensor_expanded_beyond_its_storage_is_rejected(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(1000, 1000, 1000)}, tmp_path / "bad.pth")
    assert "a storage of 4" in _rejection_message(tmp_path / "bad.pth")


def test_exponentially_nested_list_is_rejected(tmp_path: Path) -> None:
    value: list[Any] = [0]
    for _ in range(30):
        value = [value] * 10
    torch.save({"a": value}, tmp_path / "many.pth")
    assert "more than 5,000,000 values" in _rejection_message(tmp_path / "many.pth")
    loop: dict[str, Any] = {}
    loop["a"] = loop
    torch.save(loop, tmp_path / "loop.pth")
    assert "contains itself" in _rejection_message(tmp_path / "loop.pth")
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    torch.save({"a": deep}, tmp_path / "deep.pth")
    assert "100 deep" in _rejection_message(tmp_path / "deep.pth")


def _quantized() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in torch, but in existing files
        return torch._empty_affine_quantized([3], scale=0.1, zero_point=0, dtype=torch.qint8)


@pytest.mark.parametrize("make_tensor, message", [
    (lambda: torch.eye(3).to_sparse(), "a sparse tensor"),
    (lambda: torch.empty(3, device="meta"), "without content"),
    (_quantized, "quantized"),
], ids=["sparse", "meta", "quantized"])
def test_non_dense_tensor_is_rejected(
    make_tensor: Callable[[], torch.Tensor], message: str, tmp_path: Path
) -> None:
    torch.save({"a": make_tensor()}, tmp_path / "bad.pth")
    assert message in _rejection_message(tmp_path / "bad.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_valid_checkpoints_are_loaded(zipped: bool, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(2, 3)).sum().backward()
    optimizer.step()
    marked = nn.Parameter(torch.ones(3))
    marked.no_decay = True  # type: ignore[attr-defined]
    saved = {
        "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(),
        "log": HistoryBuffer([1.0, 2.0], [1, 1]), "best": np.float64(0.5), "ids": np.arange(3),
        "bytes": b"\xff", "array": bytearray(b"ab"), "size": torch.Size([2]), "large": 2**70,
        "marked": marked, "dtype": torch.float16, "device": torch.device("cpu"), "set": {1},
        "expanded": torch.zeros(1).expand(4, 4), "empty": torch.zeros(0, 5),
        "half": torch.ones(3, dtype=torch.bfloat16), "tied": model[0].weight,
    }
    torch.save(saved, tmp_path / "rich.pth", _use_new_zipfile_serialization=zipped)
    content = load_checkpoint(tmp_path / "rich.pth")
    assert content.keys() == saved.keys()
    assert all(torch.equal(content["state_dict"][k], v) for k, v in model.state_dict().items())
    assert content["log"].data[0].tolist() == [1.0, 2.0] and content["ids"].tolist() == [0, 1, 2]
    assert content["bytes"] == b"\xff" and content["array"] == bytearray(b"ab")
    assert content["marked"].no_decay and content["expanded"].shape == (4, 4)


def test_truncated_safetensors_file_is_rejected(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[536870912],"data_offsets":[0,2147483648]}}'
    path = tmp_path / "bad.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    _rejection_message(path)
    path.write_bytes(struct.pack("<Q", 1 << 60) + header)
    _rejection_message(path)


def test_special_files_are_rejected_without_opening(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    assert "got a named pipe" in _rejection_message(tmp_path / "pipe.pth")
    with socket.socket(socket.AF_UNIX) as server:
        previous_dir = os.getcwd()
        os.chdir(tmp_path)  # the path of a socket is limited to 108 characters
        try:
            server.bind("socket.pth")
        finally:
            os.chdir(previous_dir)
        assert "got a socket" in _rejection_message(tmp_path / "socket.pth")
    assert "got a device" in _rejection_message(Path("/dev/zero"))


@pytest.mark.parametrize("weights, message", [
    ([], "got a list"),
    ({5: torch.ones(1)}, "a key of its state_dict: got 5"),
    ({"w": "text"}, r"state_dict\['w'\]: got a str, expected a tensor"),
    ({"w": torch.ones(1, dtype=torch.complex64)}, "torch.complex64"),
    ({"w": torch.ones(1).to(torch.float8_e4m3fn)}, "torch.float8_e4m3fn"),
], ids=["list", "number-as-key", "text", "complex", "float8"])
def test_invalid_state_dict_is_rejected_by_key(weights: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        check_state_dict(weights, "a.pth")
    check_state_dict({}, "a.pth")


def test_plain_pickle_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    assert "cannot be read" in _rejection_message(tmp_path / "plain.pth")
