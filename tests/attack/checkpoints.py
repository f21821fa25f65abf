"""Checkpoints that are invalid or malicious, and the commands that read one."""

from __future__ import annotations

import copy
import gzip
import io
import os
import pickle
import random
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from odd_archives import corrupt_archive, corrupt_bytes
from odd_files import replace_with_special_file
from odd_states import change_config, change_state, config_text
from odd_values import mutate, odd_value
from outcome import Case, CaseDirs
from payloads import payload, raw_pickle
from PIL import Image

# Three of four seeds are for the first, which is quick.
COMMANDS = ("predict", *3 * ("resume",), *2 * ("backbone",), "test")
CHANGES = (*3 * ("pickle",), *2 * ("raw",), *3 * ("zip",), *5 * ("config",), *3 * ("state",),
           *3 * ("meta",), "bytes", "file", "safetensors", "form")
RUN = ("--device", "cpu", "--cfg-options", "default_hooks.logger.interval=100")


def prepare(base: Path, seeds: Sequence[int]) -> None:
    """A detector's and a classifier's checkpoint, and where needed a short training's own."""
    from class_checkpoint import save_class_thumbnail
    from thumbnail_checkpoint import save_thumbnail
    from tiny_training import write_config, write_data

    from detkit import Predictor
    from detkit.cli import predict, test, train  # noqa: F401
    from detkit.cli.main import run_command

    save_thumbnail(base / "detector.pth")
    save_class_thumbnail(base / "classifier.pth")
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(image).save(base / "image.png")
    for name in ("detector.pth", "classifier.pth"):
        Predictor(base / name, device="cpu")(image)
    if all(seed % 4 != 3 for seed in seeds):
        return
    config = write_config(base, write_data(base / "data", images=2))
    child = os.fork()
    if child == 0:
        log = os.open(base / "train.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = sys.stderr = open(2, "w", closefd=False)
        code = run_command(
            "train", [str(config), "--work-dir",
                      str(base / "run"), *RUN, "train_cfg.max_epochs=1"])
        sys.stdout.flush()
        os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError((base / "train.log").read_text())


def build(seed: int, dirs: CaseDirs, base: Path) -> Case:
    """The checkpoint of a seed, and the command that is given it."""
    rng = random.Random(f"checkpoint {seed}")
    command = rng.choice(COMMANDS[1:]) if seed % 4 == 3 else COMMANDS[0]
    _write_evil_files(dirs, rng)
    source = base / "run" / "epoch_1.pth"
    if command in ("predict", "test"):
        source = base / rng.choice(("detector.pth", "detector.pth", "classifier.pth"))
    path = dirs.input_dir / "file.pth"
    shutil.copy(source, path)
    summary = [
        _change(path, rng, dirs) for _ in range(1 if rng.random() < 0.8 else 2) if path.is_file()
    ]
    checkpoint = next(iter(sorted(dirs.input_dir.iterdir())), path)
    return Case(f"{command} {source.name}: {'; '.join(summary)}",
                lambda out: _run(command, checkpoint, base, out, rng))


def _run(command: str, path: Path, base: Path, out: Path, rng: random.Random) -> int:
    from detkit.cli.main import run_command

    if command == "predict":
        return run_command(
            "predict",
            [str(path),
             str(base / "image.png"), "--out",
             str(out / "found"), "--device", "cpu"])
    if command == "test":
        return run_command("test",
                           [str(base / "tiny.py"),
                            str(path), "--work-dir",
                            str(out / "run"), *RUN])
    words = [str(base / "tiny.py"), "--work-dir", str(out / "run"), *RUN, "train_cfg.max_epochs=2"]
    if command == "backbone":
        words[-1] = "train_cfg.max_epochs=1"
        return run_command("train", [*words, "--backbone-from", str(path)])
    if rng.random() < 0.5:
        return run_command("train", [*words, "--resume", str(path)])
    # The newest of a run's folder, beside a good one and a note that may be odd.
    folder = out / "run"
    folder.mkdir()
    shutil.copy(base / "run" / "epoch_1.pth", folder / "epoch_1.pth")
    if path.is_file():
        shutil.copy(path, folder / "epoch_2.pth")
    (folder / "last_checkpoint").write_bytes(rng.choice(
        [str(path).encode(), b"\xff\xfe\0", b"", b"/dev/zero", b"a\0b", b"x" * 5000, b"."]))
    return run_command("train", [*words, "--resume"])


def _write_evil_files(dirs: CaseDirs, rng: random.Random) -> None:
    """What a path in a checkpoint may lead to: files that run code if they are used."""
    from payloads import code_text

    (dirs.outside_dir / "evil.pkl").write_bytes(pickle.dumps(payload(rng, dirs.canary)))
    (dirs.outside_dir / "evil.py").write_text(code_text(dirs.canary) + "\n")


def _change(path: Path, rng: random.Random, dirs: CaseDirs) -> str:
    kind = rng.choice(CHANGES)
    if kind == "zip":
        return corrupt_archive(
            path, rng, [raw_pickle(rng, dirs.canary),
                        pickle.dumps(payload(rng, dirs.canary), 2)])
    if kind == "bytes":
        return corrupt_bytes(path, rng)
    if kind == "file":
        return replace_with_special_file(path, rng, dirs.outside_dir)
    if kind == "raw":
        return _raw(path, rng, dirs.canary)
    if kind == "safetensors":
        return _safetensors(path, rng)
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # changed once already
        return corrupt_bytes(path, rng)
    kind, summary = _change_content(content, kind, rng, dirs.canary)
    _save(content, path, rng, old=rng.random() < 0.2 or kind == "form")
    return f"{kind}: {summary}"


def _change_content(content: dict[str, Any], kind: str, rng: random.Random, canary: Path
                    ) -> tuple[str, str]:
    meta = content.get("meta")
    if not isinstance(meta, dict) or not isinstance(content.get("state_dict"), dict):
        return "form", "written anew"  # changed before
    if kind == "pickle":
        holder: Any = rng.choice([content, meta, content["state_dict"]])
        holder[rng.choice([*holder, "extra"])] = value = payload(rng, canary)
        return kind, f"{value!r}"[:80]
    if kind == "config":
        from mmengine.config import Config

        key = "cfg" if "cfg" in meta else "config"
        if not isinstance(meta.get(key), str):
            return "form", "written anew"
        cfg = copy.deepcopy(Config.fromstring(meta[key], ".py").to_dict())
        summary = "; ".join(
            change_config(cfg, rng, canary)
            for _ in range(rng.choice([0, 1, 1, 1, 2]))
            if _is_whole(cfg))
        meta[rng.choice([key, key, key, "config", "cfg"])] = config_text(cfg, rng, canary)
        return kind, summary or "text"
    if kind == "state":
        if rng.random() < 0.1:
            content["state_dict"] = value = odd_value(rng)
            return kind, f"state_dict is {value!r}"[:80]
        return kind, change_state(content["state_dict"], rng)
    if kind == "meta":
        if rng.random() < 0.3:
            meta["dataset_meta"] = value = rng.choice(
                [{"classes": odd_value(rng)}, {"classes": [odd_value(rng)] * 3},
                 {"classes": [f"c{at}" for at in range(5000)]}, {"CLASSES": None}, odd_value(rng),
                 {"classes": ["a\nb", "\x1b[2J", "\ud800"]}])
            return kind, f"dataset_meta is {value!r}"[:80]
        rest = {key: value for key, value in content.items() if key != "state_dict"}
        summary = mutate(rest, rng)
        state = content["state_dict"]
        content.clear()
        content.update(rest, **({"state_dict": state} if rng.random() < 0.95 else {}))
        return kind, summary
    return kind, "written anew"


def _is_whole(cfg: dict[str, Any]) -> bool:
    try:
        return isinstance(cfg["test_dataloader"]["dataset"]["pipeline"], list) and isinstance(
            cfg["model"]["backbone"], dict)
    except (KeyError, TypeError):
        return False


def _save(content: Any, path: Path, rng: random.Random, old: bool) -> None:
    import torch

    try:
        torch.save(content, path, _use_new_zipfile_serialization=not old)
    except Exception:  # what torch cannot write, pickle may
        try:
            path.write_bytes(pickle.dumps(content, rng.choice([0, 2, 4])))
        except Exception:
            path.write_bytes(b"\x80\x02" + b"]" * 1000 + b".")


def _raw(path: Path, rng: random.Random, canary: Path) -> str:
    """A file that is not a torch archive: a pickle, old or by hand, gzipped or in a tar."""
    raw = rng.choice(
        [raw_pickle(rng, canary), pickle.dumps(payload(rng, canary), rng.choice([0, 1, 2, 5]))]
    )
    kind = rng.choice(("plain", "plain", "gzip", "tar", "twice", "npy", "magic", "jit"))
    if kind == "gzip":
        raw = gzip.compress(raw)
    elif kind == "tar":
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name in ("sys_info", "pickle", "tensors", "storages", "../beside/out.txt"):
                item = tarfile.TarInfo(name)
                item.size = len(raw)
                archive.addfile(item, io.BytesIO(raw))
        raw = stream.getvalue()
    elif kind == "twice":
        raw = raw + raw + raw
    elif kind == "npy":
        stream = io.BytesIO()
        np.save(stream, np.array([payload(rng, canary)], dtype=object), allow_pickle=True)
        raw = stream.getvalue()
    elif kind == "magic":  # of torch's old format: a magic number, a version, then the pickle
        raw = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps(
            {"little_endian": True}, 2) + raw
    elif kind == "jit":
        import torch

        stream = io.BytesIO()
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), stream)
        raw = stream.getvalue()
    path.write_bytes(raw)
    return f"{kind} pickle of {len(raw)} bytes"


def _safetensors(path: Path, rng: random.Random) -> str:
    from odd_values import dump_json
    from safetensors.torch import save_file

    made = path.with_suffix(".safetensors")
    import torch

    save_file({"backbone.a": torch.ones(3)}, made)
    path.unlink()
    kind = rng.choice(("bytes", "length", "header", "offsets", "pickle"))
    if kind == "bytes":
        return corrupt_bytes(made, rng)
    header: Any = {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}
    if kind == "offsets":
        header["a"].update(rng.choice([{"shape": [2**40]}, {"shape": [-3]}, {"dtype": "X"},
                                       {"data_offsets": [0, 2**60]}, {"data_offsets": [8, 0]}]))
    elif kind == "header":
        mutate(header, rng)
    text = dump_json(header).encode()
    length = rng.choice([2**63, 2**40, 0, 10**8]) if kind == "length" else len(text)
    made.write_bytes(length.to_bytes(8, "little") + text + b"\0" * 12)
    return f"safetensors {kind}: {text[:60]!r}"
