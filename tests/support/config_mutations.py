"""Configs with one thing wrong in each: keys dropped, doubled, misspelt, values of other types."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from detkit.config.load_config import RUNNER_KEYS
from detkit.config.overrides import remove_pretrained

# Of mmdet, one config of each of these folders, in this order, as far as they are installed.
MMDET_FOLDERS = (
    "faster_rcnn", "retinanet", "fcos", "cascade_rcnn", "atss", "yolo", "yolox", "ssd", "gfl",
    "detr", "deformable_detr", "sparse_rcnn", "dyhead", "libra_rcnn", "rtmdet", "tood", "centernet",
)


# In names of configs that want masks, ready proposals, or a ResNet of bottlenecks.
_OTHER_TASKS = ("mask", "-ins", "fast-rcnn", "dconv", "dcn")

# Where most of a config stands.
_OFTEN = 12 * ["model"] + 4 * ["train_dataloader"] + 3 * ["optim_wrapper", "default_hooks"]


@dataclass(frozen=True)
class Mutation:
    """A config with one thing changed.

    Args:
        name: what was changed, and where.
        content: the config, by top-level key.
    """

    name: str
    content: dict[str, Any]


def base_configs(repository: Path) -> list[tuple[str, dict[str, Any]]]:
    """The small configs of this repository, and one of each kind that mmdet's wheel brings, if any.
    """
    import mmdet

    configs = repository / "configs"
    files = [*sorted(configs.glob("*nano*.py")), configs / "detr_swin.py"]
    mim = Path(mmdet.__file__).parent / ".mim" / "configs"
    for folder in MMDET_FOLDERS:
        plain = [file for file in sorted((mim / folder).glob("*.py"))
                 if not any(word in file.name for word in _OTHER_TASKS)]
        files += plain[:1]
    return [read(file) for file in files]


def read(file: Path) -> tuple[str, dict[str, Any]]:
    """A config's name and content, at a size that builds quickly, with no weights to download."""
    content = Config.fromfile(str(file)).to_dict()
    content = {key: value for key, value in content.items() if key in RUNNER_KEYS}
    model = content["model"]
    remove_pretrained(model)
    # Left to the data: another number would end every run before the mutation is met.
    _without(model, "num_classes")
    if model["backbone"].get("depth") in (50, 101) and isinstance(model.get("neck"), dict):
        model["backbone"]["depth"] = 18
        model["neck"].pop("in_channels", None)
    for split in ("train", "val", "test"):
        loader = content[f"{split}_dataloader"]
        loader.update(num_workers=0, batch_size=2, persistent_workers=False)
        _smaller(loader)
    return str(file.relative_to(file.parents[1])), content


def _without(value: Any, key: str) -> None:
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list, tuple)):
            _without(item, key)
    if isinstance(value, dict):
        value.pop(key, None)


def _smaller(value: Any) -> None:
    """Pictures of 128 pixels wherever a pipeline resizes."""
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list, tuple)):
            _smaller(item)
    scale = value.get("scale") if isinstance(value, dict) else None
    if isinstance(scale, (list, tuple)) and isinstance(scale[0], int):
        value["scale"] = (128, 128)


def mutations(
    bases: Sequence[tuple[str, dict[str, Any]]], count: int, seed: int
) -> Iterator[Mutation]:
    """``count`` mutations of the configs in turn; the same ones for the same seed."""
    for index in range(count):
        name, content = bases[index % len(bases)]
        rng = random.Random(f"{seed} {index}")
        changed = copy.deepcopy(content)
        yield Mutation(f"{index} {name}: {_mutate(changed, rng)}", changed)


def _mutate(content: dict[str, Any], rng: random.Random) -> str:
    holder: Any = content
    path = ""
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = rng.choice(keys if path else [*keys, *_OFTEN])
        path += f".{key}" if isinstance(holder, dict) else f"[{key}]"
        inner = holder[key]
        if (
            not isinstance(inner, (dict, list))
            or not inner
            or (path.count(".") > 1 and rng.random() < 0.3)
        ):
            break
        holder = inner
    change = rng.choice(("drop", "double", "misspell", "retype", "retype", "retype"))
    return f"{change} {path[1:]}{_change(holder, key, change, rng)}"


def _change(holder: Any, key: Any, change: str, rng: random.Random) -> str:
    value = holder[key]
    if change == "drop":
        del holder[key]
    elif change == "double" and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(value))
    elif change == "misspell" and isinstance(holder, dict) and len(key) > 2:
        index = rng.randrange(len(key) - 1)
        holder[key[:index] + key[index + 1] + key[index] + key[index + 2:]] = holder.pop(key)
    else:
        holder[key] = [value, value] if change == "double" else rng.choice(_others(value))
        return f" = {repr(holder[key])[:60]}"
    return ""


def _others(value: Any) -> list[Any]:
    """Values of other types, and of the same type that can hardly be right."""
    if isinstance(value, dict):
        return [[value], list(value.values()), "text", None, {}, 3]
    if isinstance(value, (list, tuple)):
        first = value[0] if value else 1
        return [dict(enumerate(value)), first, [], None, "text", [*value, *value], [first]]
    if isinstance(value, bool):
        return ["yes", None, [value], 7]
    if isinstance(value, (int, float)):
        return [str(value), [value], None, -value, 0, value * 1000 + 0.5, {}, "text"]
    if isinstance(value, str):
        return [7, [value], None, "", value + "x", {"type": value}]
    return [{}, "None", 0, [], -1]


def write(mutation: Mutation, folder: Path) -> Path:
    """The config file of ``mutation`` in ``folder``."""
    # mmengine keeps one visualizer for each name of a run and second.
    path = folder / f"mutated_{mutation.name.partition(' ')[0]}.py"
    path.write_text("".join(f"{key} = {value!r}\n" if key.isidentifier() else ""
                            for key, value in mutation.content.items()))
    return path
