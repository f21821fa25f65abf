"""Exported folders that are invalid or malicious, and ``predict`` with one."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import pickle
import random
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from odd_archives import corrupt_archive, corrupt_bytes, entries, write_entries
from odd_files import replace_with_special_file
from odd_values import BILLION_LAUGHS, corrupt_text, dump_json, mutate, odd_value
from outcome import Case, CaseDirs
from payloads import code_text, payload, raw_pickle
from PIL import Image

# By seed, in turn.
FORMATS = ("openvino", "torch", "onnx", "torch")
LIBRARIES = {"openvino": ("openvino",), "onnx": ("onnx", "onnxruntime"), "torch": ("torch",)}
LAYERS = ("Parameter", "Result", "Const", "Convolution", "Reshape", "Gather", "TensorIterator",
          "If", "Loop", "StringTensorPack", "evil")


def prepare(base: Path, seeds: Sequence[int]) -> None:
    """A folder of each format that the seeds need, made in a process of its own.

    So no thread of an engine is in this one.
    """
    forms = sorted({FORMATS[seed % len(FORMATS)] for seed in seeds})
    for library in [name for form in forms for name in LIBRARIES[form]]:
        importlib.import_module(library)
    from detkit.cli.main import run_command

    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(image).save(base / "image.png")
    child = os.fork()
    if child == 0:
        log = os.open(base / "export.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = sys.stderr = open(2, "w", closefd=False)
        code = _export_all(base, forms)
        sys.stdout.flush()
        os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError((base / "export.log").read_text())
    # What torch imports to read a program; its engine starts no threads.
    if "torch" in forms:
        run_command("predict",
                    [str(base / "torch"),
                     str(base / "image.png"), "--out",
                     str(base / "out")])


def _export_all(base: Path, forms: Sequence[str]) -> int:
    from own_truth import write_own_truth
    from thumbnail_checkpoint import save_thumbnail

    from detkit.cli.main import run_command

    checkpoint = save_thumbnail(base / "detector.pth")
    ground_truth = write_own_truth(base / "ground_truth", checkpoint, images=1)
    return max(
        run_command("export", [
            str(checkpoint), "--out",
            str(base / form), "--format", form, "--data",
            str(ground_truth), "--device", "cpu", "--size", "32x32", "--max-ap-drop", "100",
            "--max-proposals", "10"
        ]) for form in forms)


def build(seed: int, dirs: CaseDirs, base: Path) -> Case:
    """The folder of a seed."""
    rng = random.Random(f"export {seed}")
    form = FORMATS[seed % len(FORMATS)]
    (dirs.outside_dir / "evil.pkl").write_bytes(pickle.dumps(payload(rng, dirs.canary)))
    folder = dirs.input_dir / form
    shutil.copytree(base / form, folder)
    summary = []
    for _ in range(1 if rng.random() < 0.8 else 2):
        kind = rng.choice(("manifest", "manifest", "files", "graph", "graph", "graph", "graph"))
        change = {"manifest": _change_manifest, "files": _change_files,
                  "graph": {"torch": _change_program, "onnx": _change_onnx,
                            "openvino": _change_openvino}[form]}[kind]
        summary.append(change(folder, rng, dirs))
    words = [str(folder), str(base / "image.png"), "--device", "cpu"]
    from detkit.cli.main import run_command

    return Case(f"{form}: {'; '.join(summary)}",
                lambda out: run_command("predict", [*words, "--out", str(out / "found")]))


def update_hashes(folder: Path) -> None:
    """Put the hashes of the files as they now are into ``detkit.json``, as an attacker would."""
    path = folder / "detkit.json"
    try:
        content = json.loads(path.read_text())
        content["hashes"] = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()
                             for file in folder.iterdir() if file.is_file() and file != path}
        path.write_text(dump_json(content))
    except (OSError, ValueError, TypeError, KeyError):
        pass


def _graph(folder: Path, *suffixes: str) -> Path | None:
    return next((file for file in sorted(folder.iterdir())
                 if file.suffix in suffixes and file.is_file()), None)


def _change_manifest(folder: Path, rng: random.Random, dirs: CaseDirs) -> str:
    path = folder / "detkit.json"
    try:
        content = json.loads(path.read_text())
        content["graphs"][0]["file"], content["rule"]["scale"]
    except (OSError, ValueError, LookupError, TypeError):  # changed before
        return "nothing"
    texts = ("../beside/secret.txt", str(dirs.outside_dir / "evil.pkl"), "graph_32x32.pt2",
             "graph_32x32.onnx", "f32", "bf16", "int8", "bilinear", "torch", "onnx", "openvino")
    if rng.random() < 0.15:
        raw, summary = corrupt_text(path.read_text(), rng)
        path.write_bytes(raw)
        return f"detkit.json: {summary}"
    if rng.random() < 0.4:
        key = rng.choice(("max_results", "max_proposals", "canvas", "scale", "classes", "divisor",
                          "precision", "border"))
        value = odd_value(rng, texts) if rng.random() < 0.6 else rng.choice(
            [10**9, 10**6, 0, 1, -1, 33, 31, [10**6, 10**6], [32, 64], [32.0, 32.0], [0, 0]])
        if key == "canvas":
            content["graphs"][0]["canvas_hw"] = value
            if isinstance(value, list) and len(value) == 2:
                name = f"graph_{value[0]}x{value[1]}"
                for file in list(folder.glob("graph_*")):
                    file.rename(file.with_name(name[:200] + file.suffix))
                content["graphs"][0]["file"] = name + Path(content["graphs"][0]["file"]).suffix
        elif key in ("scale", "divisor", "border"):
            content["rule"][key] = value
        else:
            content[key] = value
        path.write_text(dump_json(content))
        update_hashes(folder)
        return f"{key} = {value!r}"[:90]
    summary = mutate(content, rng, texts)
    path.write_text(dump_json(content))
    return f"detkit.json: {summary}"


def _change_files(folder: Path, rng: random.Random, dirs: CaseDirs) -> str:
    path = rng.choice(sorted(folder.iterdir()))
    if rng.random() < 0.5:
        return replace_with_special_file(path, rng, dirs.outside_dir)
    summary = corrupt_bytes(path, rng) if path.is_file() else "nothing"
    update_hashes(folder)
    return summary


def _change_openvino(folder: Path, rng: random.Random, dirs: CaseDirs) -> str:
    path = _graph(folder, *rng.choice(((".xml",), (".xml",), (".xml",), (".bin",))))
    if path is None:
        return "no graph"
    if path.suffix == ".bin" or rng.random() < 0.1:
        summary = corrupt_bytes(path, rng)
    else:
        summary = _change_xml(path, rng, dirs)
    update_hashes(folder)
    return summary


def _change_xml(path: Path, rng: random.Random, dirs: CaseDirs) -> str:
    text = path.read_text("utf-8", "replace") or "<net />"
    kind = rng.randrange(8)
    if kind == 0:
        raw, summary = corrupt_text(text, rng)
        path.write_bytes(raw)
        return f"xml: {summary}"
    if kind == 1:
        entity = rng.choice(
            [f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{dirs.outside_dir}/secret.txt">]>',
             BILLION_LAUGHS.replace("]>", "<!ENTITY x '&l10;'>]>")])
        path.write_text(text.replace("<net ", f"{entity}<net ", 1)
                        .replace('name="', 'name="&x;', 1))
        return "xml: an entity"
    pattern = rng.choice((
        r'(offset|size)="(\d+)"', r'shape="([\d,]*)"', r'type="(\w+)"',
        r'element_type="(\w+)"', r'"(-?\d+)"', r'<dim>(\d+)</dim>',
        r'(from|to)-layer="(\d+)"', r'version="(\w+)"', r'(strides|pads_begin|axis)="([^"]*)"',
        r'<(\w+)'))
    matches = list(re.finditer(pattern, text))
    if not matches:
        return "xml: nothing"
    match = rng.choice(matches)
    begin, end = match.span(match.lastindex or 0)
    new = rng.choice(["0", "-1", "1", "99999999999999999999", "4294967296", "1000000000", "", "x",
                      "1,1,1000000,1000000", "-9223372036854775808", "f64", "string", "nan",
                      str(dirs.outside_dir / "evil.pkl"), *LAYERS, str(odd_value(rng))[:200]])
    new = new.encode("utf-8", "replace").decode().replace("<", "").replace("\0", "")
    path.write_text(text[:begin] + new + text[end:])
    return f"xml: {match.group()[:40]!r} with {new[:30]!r}"


def _change_onnx(folder: Path, rng: random.Random, dirs: CaseDirs) -> str:
    import onnx

    path = _graph(folder, ".onnx")
    if path is None:
        return "no graph"
    if rng.random() < 0.35:
        summary = corrupt_bytes(path, rng)
        update_hashes(folder)
        return summary
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # changed before
        return corrupt_bytes(path, rng)
    graph = model.graph
    if not graph.node or not graph.initializer or not graph.output:
        return "no graph"
    node = rng.choice(graph.node)
    tensor = rng.choice(graph.initializer)
    kind = rng.choice(("op", "domain", "input", "shape", "type", "external", "external", "dims",
                       "attribute", "drop", "outputs", "inputs", "loop", "function", "opset"))
    if kind == "op":
        node.op_type = rng.choice(["Loop", "Scan", "If", "ConstantOfShape", "Tile", "evil",
                                   "PyOp", "Gather"])
    elif kind == "domain":
        node.domain = rng.choice(["ai.onnx.contrib", "com.microsoft", "evil", "ai.onnx.ml"])
    elif kind == "input" and node.input:
        node.input[0] = rng.choice([node.output[0], "nowhere", "", tensor.name])
    elif kind == "shape":
        for value in (rng.choice([graph.input, graph.output])):
            for size in value.type.tensor_type.shape.dim:
                size.dim_value = rng.choice([0, 1, 64, 2**40, -1])
    elif kind == "type":
        rng.choice([*graph.input, *graph.output]).type.tensor_type.elem_type = rng.randrange(25)
    elif kind == "external":
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", rng.choice([
                "../../beside/secret.txt", str(dirs.outside_dir / "secret.txt"), "detkit.json",
                "*/_ORT_MEM_ADDR_/*", "/dev/zero", "pipe"])),
                ("offset", rng.choice(["0", "-1", "139637976727552"])),
                ("length", rng.choice(["12", "99999999999"]))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        os.mkfifo(folder / "pipe") if not (folder / "pipe").exists() else None
    elif kind == "dims":
        tensor.dims[:] = rng.choice([[2**40], [-1], [], [0], [1, 2, 3]])
    elif kind == "attribute" and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i, attribute.f = rng.choice([0, -1, 2**62]), float("nan")
        attribute.ints[:] = rng.choice([[], [0, 0], [-1] * 4, [2**40, 2**40]])
    elif kind == "drop":
        graph.node.remove(node)
    elif kind == "outputs":
        rng.choice([lambda: graph.output.pop(), lambda: graph.ClearField("output"),
                    lambda: graph.output.add().CopyFrom(graph.output[0])])()
    elif kind == "inputs":
        rng.choice([lambda: graph.input.pop(), lambda: graph.ClearField("input"),
                    lambda: setattr(graph.input[0], "name", "other")])()
    elif kind == "loop":
        graph.node.extend([node] * 3)
    elif kind == "opset":
        model.opset_import[0].version = rng.choice([0, 1, 7, 999, -1])
    path.write_bytes(model.SerializeToString())
    update_hashes(folder)
    return f"onnx: {kind} at {node.op_type}"


def _change_program(folder: Path, rng: random.Random, dirs: CaseDirs) -> str:
    path = _graph(folder, ".pt2")
    if path is None:
        return "no graph"
    evil = [raw_pickle(rng, dirs.canary), pickle.dumps(payload(rng, dirs.canary), 2)]
    kind = rng.choice(("archive", "json", "json", "expression", "pickle", "opaque", "library",
                       "bytes"))
    if kind == "archive":
        summary = corrupt_archive(path, rng, evil)
    elif kind == "bytes":
        summary = corrupt_bytes(path, rng)
    else:
        try:
            content = entries(path)
        except Exception:  # changed before
            return corrupt_bytes(path, rng)
        summary = f"{kind}: {_change_entries(content, kind, rng, dirs, evil)}"
        write_entries(path, content)
    update_hashes(folder)
    return summary


def _change_entries(content: list[tuple[str, bytes]], kind: str, rng: random.Random, dirs: CaseDirs,
                    evil: list[bytes]) -> str:
    top = content[0][0].partition("/")[0]
    documents = [at for at, (name, raw) in enumerate(content) if name.endswith(".json")]
    if kind in ("pickle", "opaque"):
        name = rng.choice([name for name, _ in content] + [
            f"{top}/data/constants/{rng.choice(('custom_obj_0', 'opaque_obj_0', 'tensor_0'))}",
            f"{top}/data/sample_inputs/model.pt", f"{top}/extra/x.pkl"])
        if kind == "opaque":
            name = _call_opaque(content, rng, top)
        raw = rng.choice([*evil, _torch_file(payload(rng, dirs.canary))])
        content[:] = [item for item in content if item[0] != name] + [(name, raw)]
        return name
    if kind == "library":
        name = f"{top}/data/" + rng.choice(("aotinductor/model/x.so", "executorch/x.pte",
                                            "aotinductor/model/x.cpp"))
        content.append((name, b"\x7fELF" + rng.randbytes(100)))
        return name
    if kind == "expression":
        return _change_expression(content, rng, code_text(dirs.canary))
    at = rng.choice(documents) if documents else 0
    name, raw = content[at]
    try:
        document: Any = json.loads(raw)
    except ValueError:
        content[at] = (name, b"{}")
        return f"{name} emptied"
    texts = ("torch.ops.aten._foreach_add.List", "os.system", "builtins.eval", "_operator.add",
             "torch.ops.evil.x", "torch.hub.load", "math.factorial", code_text(dirs.canary),
             str(dirs.outside_dir / "evil.pkl"), "torch.ops.aten.zeros.default")
    summary = mutate(document, rng, texts) if isinstance(document, (dict, list)) else "nothing"
    content[at] = (name, dump_json(document).encode())
    return f"{name}: {summary}"


def _torch_file(value: Any) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _call_opaque(content: list[tuple[str, bytes]], rng: random.Random, top: str) -> str:
    """Have a constant or weight called one that is pickled; returns the name of its entry."""
    kind = rng.choice(("constants", "weights"))
    for at, (name, raw) in enumerate(content):
        if name.endswith(f"{kind}/model_{kind}_config.json"):
            document = json.loads(raw)
            held = document["config"]
            entry = held[rng.choice(sorted(held))]
            entry["use_pickle"] = True
            if rng.random() < 0.5:
                entry.update(tensor_meta=None, path_name="opaque_obj_0")
            content[at] = (name, json.dumps(document).encode())
            return f"{top}/data/{kind}/{entry['path_name']}"
    return f"{top}/data/{kind}/opaque_obj_0"


def _change_expression(content: list[tuple[str, bytes]], rng: random.Random, code: str) -> str:
    """Put code where a program says a size, or the guards of its inputs."""
    at = next((at for at, (name, _) in enumerate(content) if name.endswith("models/model.json")), 0)
    name, raw = content[at]
    text = raw.decode("utf-8", "replace")
    odd = rng.choice([code, f"Symbol({code})", "10**10**10", "factorial(10**7)",
                      "s34" + "*s34" * 3000, "(" * 900 + "s34" + ")" * 900, f"Max({code}, 1)"])
    if rng.random() < 0.3:
        content[at] = (name, re.sub(r'"guards_code"\s*:\s*\[[^]]*\]', lambda match: json.dumps(
            {"guards_code": rng.choice([[odd], odd, [code] * 3])})[1:-1], text).encode())
        return "guards_code"
    matches = list(re.finditer(r'"expr_str"\s*:\s*"([^"]*)"', text))
    every = rng.random() < 0.5
    for match in reversed(matches if every else [rng.choice(matches)] if matches else []):
        text = text[:match.start(1)] + json.dumps(odd)[1:-1] + text[match.end(1):]
    content[at] = (name, text.encode())
    return f"expr_str is {odd[:40]}"
