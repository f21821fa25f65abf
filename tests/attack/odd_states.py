"""Invalid state dicts and configs."""

from __future__ import annotations

import inspect
import random
from pathlib import Path
from typing import Any

from odd_values import HUGE, mutate, nested, odd_value
from payloads import code_text

DANGEROUS = (
    "os.system", "builtins.eval", "builtins.exec", "subprocess.Popen", "subprocess.call",
    "torch.hub.load", "torch.load", "pathlib.Path.touch", "mmengine.Config.fromfile", "Config",
    "mmengine.fileio.load", "mmengine.runner.Runner", "importlib.import_module", "runpy.run_path",
    "CameraMotionCompensation", "AppearanceFreeLink", "LAD", "mmdet.LAD",
    "KnowledgeDistillationSingleStageDetector", "mmdet.KnowledgeDistillationSingleStageDetector",
    "TimmBackbone", "timm.create_model", "Collect", "detkit.cli.main.main", "mmcv.load_checkpoint",
)
REGISTRIES = ("MODELS", "TRANSFORMS", "TASK_UTILS", "DATASETS", "HOOKS", "METRICS", "VISUALIZERS",
              "RUNNERS", "OPTIMIZERS", "PARAM_SCHEDULERS", "LOOPS", "INFERENCERS", "EVALUATOR")


def odd_component(rng: random.Random, canary: Path) -> dict[str, Any]:
    """A component of some registry, or a function of Python, given texts that may be run or read.
    """
    texts = (code_text(canary), f"touch '{canary}'", str(canary.parent / "beside" / "evil.pkl"),
             str(canary.parent / "beside" / "evil.py"), "http://evil.example.com/x.pth",
             "https://evil.example.com/x.py", "torchvision://resnet18", "open-mmlab://x",
             f"file://{canary.parent}/beside/evil.pkl", "s3://evil/x.pth", "mmdet::x/y.py")
    if rng.random() < 0.4:
        name = rng.choice(DANGEROUS)
        key = rng.choice(("command", "args", "source", "config", "checkpoint", "teacher_config",
                          "file", "filename", "cmd", "init_track_cfg", "warp_mode", "name"))
        return {"type": name, key: rng.choice(texts)}
    import mmdet.registry

    registry: Any = None
    while registry is None or not registry.module_dict:
        registry = getattr(mmdet.registry, rng.choice(REGISTRIES), None)
        if registry is not None and rng.random() < 0.3 and registry.parent is not None:
            registry = registry.parent
    name, component = rng.choice(sorted(registry.module_dict.items(), key=lambda item: item[0]))
    content: dict[str, Any] = {"type": name}
    try:
        parameters = list(inspect.signature(component).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and (
                parameter.default is parameter.empty or rng.random() < 0.5):
            is_number = isinstance(parameter.default, (int, float))
            content[parameter.name] = 1 if is_number else rng.choice(
                [*texts, 1, 3, [1], {"type": name}])
    return content


def change_config(cfg: dict[str, Any], rng: random.Random, canary: Path) -> str:
    """Change a config, as a dict of plain values, in one place; returns what was done."""
    kind = rng.randrange(12)
    odd = odd_component(rng, canary)
    pipeline = cfg["test_dataloader"]["dataset"]["pipeline"]
    if kind == 0:
        cfg["data_preprocessor"] = odd
        cfg["model"].pop("data_preprocessor", None)
        return f"data_preprocessor at the top is {odd}"[:150]
    if kind == 1:
        pipeline.insert(rng.randrange(len(pipeline) + 1), odd)
        return f"a step {odd}"[:150]
    if kind == 2:
        wrapper = rng.choice(("RandomApply", "RandomChoice", "Compose", "TransformBroadcaster",
                              "KeyMapper", "MultiBranch", "torchvision/RandomApply"))
        pipeline.insert(1, {"type": wrapper, "transforms": rng.choice([[odd], [[odd]], odd])})
        return f"{wrapper} of {odd}"[:150]
    if kind in (3, 4):
        key = rng.choice(sorted(cfg["model"]))
        cfg["model"][key] = odd if rng.random() < 0.7 else [odd]
        return f"model.{key} is {odd}"[:150]
    if kind == 5:
        holder = cfg["model"][rng.choice([key for key, value in cfg["model"].items()
                                          if isinstance(value, dict)])]
        key = rng.choice([*holder, "init_cfg", "norm_cfg", "plugins", "pretrained", "x"])
        holder[key] = odd
        return f"{key} is {odd}"[:150]
    if kind == 6:
        text = rng.choice(("http://evil.example.com/x.pth", "torchvision://resnet18",
                           str(canary.parent / "beside" / "evil.pkl")))
        where = rng.choice((cfg["model"], cfg["model"]["backbone"]))
        where.update(
            rng.choice(
                [
                    {"init_cfg": {"type": "Pretrained", "checkpoint": text}},
                    {"pretrained": text},
                    {"init_cfg": [{"type": "Pretrained", "checkpoint": text}]},
                ]
            )
        )
        return f"weights from {text}"
    if kind == 7:
        key = rng.choice(("custom_imports", "default_scope", "custom_hooks", "load_from", "env_cfg",
                          "visualizer", "work_dir", "_base_", "model_wrapper_cfg", "tta_model",
                          "test_evaluator", "test_pipeline", "runner_type", "resume", "launcher"))
        cfg[key] = rng.choice([odd, odd_value(rng), {"imports": ["evil"]}, [odd],
                               str(canary.parent / "beside" / "evil.py"), "evil", "mmdet"])
        return f"{key} is {cfg[key]!r}"[:150]
    if kind == 8:
        key = rng.choice([*cfg, "model"])
        cfg[key] = odd_value(rng)
        return f"{key} is {cfg[key]!r}"[:150]
    return mutate(cfg, rng, DANGEROUS)


def config_text(cfg: dict[str, Any], rng: random.Random, canary: Path) -> str:
    """A config as text: mostly literals, sometimes code or what no parser likes."""
    text = "\n".join(f"{key if key.isidentifier() else 'x'} = {value!r}"
                     for key, value in cfg.items())
    code = code_text(canary)
    if rng.random() < 0.7:
        return text
    return rng.choice([
        f"{text}\nx = {code}\n", f"import os\n{code}\n{text}", f"{code}\n", "x = {[]: 1}\n" + text,
        text + "\nx = dict(**5)\n", text + "\nx = dict([1])", text + "\nx = [y for y in [1]]",
        text + "\nx = " + "(" * 300 + ")" * 300, text + "\nx = " + "-" * 5000 + "1",
        text + "\nx = " + "[" * 5000 + "]" * 5000, text + "\nx = " + "1+" * 5000 + "1",
        text + "\nx = 9**9**9", text + "\nx = 'a' * 10**10", text + f"\nx = f'{{{code}}}'",
        text + "\nmodel['type'] = 'x'", "class A: pass\n" + text, text + "\nx = dict(a=1, a=2)",
        text + "\nx = {**5}", text + "\nx = set([[1]])", text + "\nx = {{}: 1}", text + "\0",
        text + "\nx = " + "9" * 5000, "_base_ = '../beside/evil.py'\n" + text, "\ud800 = 1",
        text + "\nx = {dict(a=1): 2}", text + "\nx: int = 5", text + "\nx = y = 5", "model = 5",
        text + "\nx = b'\\xff'", text + "\nx = 1j", text + "\nx = ...", "{{_base_.x}}" + text,
        text + "\nx = '{{ fileDirname }}'", text + "\nx = '$HOME'", text[:len(text) // 2],
    ])


def change_state(state: Any, rng: random.Random) -> str:
    """Change a state dict in one place; returns what was done."""
    import torch

    name = rng.choice(list(state) or [""])
    tensor = state.get(name)
    if not isinstance(tensor, torch.Tensor):  # changed before
        state[name], tensor = 5, torch.ones(3)
    cycle: dict[str, Any] = {}
    cycle["x"] = cycle
    cyclic_list: list[Any] = []
    cyclic_list.append(cyclic_list)
    values = {
        "int": 5, "none": None, "text": "x", "list": [1.0], "huge": HUGE, "cycle": cycle,
        "cyclic list": cyclic_list, "bytes": b"x", "nested": nested(900), "dict": {"a": tensor},
        "sparse": torch.eye(3).to_sparse(), "csr": torch.eye(3).to_sparse_csr(),
        "meta": torch.empty(tensor.shape, device="meta"), "complex": tensor.to(torch.complex64),
        "bool": tensor.bool(), "half": tensor.half(), "double": tensor.double(),
        "bfloat": tensor.bfloat16(), "int8": tensor.to(torch.int8), "nan": tensor * float("nan"),
        "inf": tensor.float() + float("inf"), "shape": tensor[None, None], "empty": tensor[:0]
        if tensor.dim() else torch.empty(0), "flat": tensor.flatten(), "scalar": torch.tensor(1.0),
        "expanded": torch.zeros(()).expand(tensor.shape), "parameter": torch.nn.Parameter(
            tensor.float()), "large": torch.zeros(1).expand(10**5, 10**6),
        "quantised": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
        if hasattr(torch, "quantize_per_tensor") else 1,
        "sparse shape": torch.sparse_coo_tensor(torch.zeros(1, 0, dtype=torch.long), [], (2**40,)),
        "fp8": tensor.float().to(torch.float8_e4m3fn), "size": torch.Size([1]),
        "dtype": torch.float32, "storage": torch.ones(3).untyped_storage(),
    }
    kind = rng.choice([*values, "drop", "key", "key", "key", "clear", "many", "swap"])
    if kind == "drop":
        del state[name]
    elif kind == "key":
        key = rng.choice([5, None, ("a", 1), 1.5, True, "", "a\nb", b"x", f"module.{name}", ".",
                          f"{name}.x", "x" * 5000, "__class__", "\ud800"])
        state[key] = state.pop(name)
        return f"{name} is called {key!r}"[:90]
    elif kind == "clear":
        state.clear()
    elif kind == "many":
        for at in range(5000):
            state[f"x{at}"] = tensor
    elif kind == "swap":
        other = rng.choice(list(state))
        state[name], state[other] = state[other], state[name]
    else:
        state[name] = values[kind]
    return f"{kind} {name}"
