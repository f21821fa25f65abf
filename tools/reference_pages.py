"""The reference pages of the documentation, made from the code; a hook of mkdocs.

Commands are read from their parsers, components from the registries, config keys from the config
checks, configs from the headers of their files, the API from docstrings.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# What the top-level keys of a config are for; which keys there are is read from the code.
KEYS = {
    "activation_checkpointing": "Modules whose activations are recomputed in the backward pass.",
    "auto_scale_lr": "`base_batch_size` is the batch size that the learning rate is for; "
                     "`--auto-scale-lr` scales it linearly to the run's.",
    "compile": "Arguments of `torch.compile`.",
    "custom_hooks": "Hooks besides the default ones, for example `EMAHook`.",
    "custom_imports": "Modules to import before anything is built, as `dict(imports=[...])`.",
    "data_options": "How `--data` is read: see below.",
    "data_preprocessor": "The data preprocessor, where the model does not have one.",
    "default_hooks": "Hooks by their purpose: `timer`, `logger`, `param_scheduler`, `checkpoint`, "
                     "`sampler_seed`, `visualization`.",
    "default_scope": "Where type names are looked up first: `detkit`, then mmdet, then mmengine.",
    "efficient_conv_bn_eval": "Modules whose convolution and fixed batch norm are fused.",
    "env_cfg": "cuDNN's benchmark mode, the start method of processes, the distributed backend.",
    "experiment_name": "The name of the run in logs.",
    "find_unused_parameters": "Argument of DistributedDataParallel.",
    "launcher": "How the processes of a distributed run are started; `--launcher` sets it.",
    "load_from": "A checkpoint whose weights the model starts from.",
    "log_level": "The log level, for example `INFO`.",
    "log_processor": "How values are averaged and formatted for the log.",
    "model": "The model: a dict whose `type` is a detector or `ImageClassifier`.",
    "model_wrapper_cfg": "The wrapper of the model in a distributed run.",
    "optim_wrapper": "The optimizer, gradient clipping, mixed precision, and learning rates and "
                     "weight decays by parameter (`paramwise_cfg`).",
    "param_scheduler": "Learning rate schedulers, in a list.",
    "randomness": "`seed`, and `deterministic` for deterministic algorithms.",
    "resume": "Whether to continue from the newest checkpoint of the work dir; `--resume` sets it.",
    "runner_type": "Another Runner, by its registered name.",
    "sync_bn": "Convert batch norms to synchronized ones: `torch` or `mmcv`.",
    "test_cfg": "The test loop.",
    "test_dataloader": "Dataset, pipeline, sampler, batch size and processes of testing.",
    "test_evaluator": "The metric, or a list of metrics, of testing.",
    "train_cfg": "The training loop: `max_epochs`, and `val_interval` in epochs.",
    "train_dataloader": "Dataset, pipeline, sampler, batch size and processes of training.",
    "tta_model": "The model of test-time augmentation.",
    "tta_pipeline": "The pipeline of test-time augmentation.",
    "val_cfg": "The validation loop.",
    "val_dataloader": "Dataset, pipeline, sampler, batch size and processes of validation.",
    "val_evaluator": "The metric, or a list of metrics, of validation.",
    "visualizer": "The visualizer and its backends: local files, TensorBoard.",
    "work_dir": "Where the run writes; `--work-dir` sets it.",
}


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in markdown; line breaks and bars in its cells are replaced."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line)
                     + " |" for line in lines)


def summary(documented: Any) -> str:
    """The first paragraph of a docstring."""
    return (inspect.getdoc(documented) or "").partition("\n\n")[0]


def described_arguments(documented: Any) -> dict[str, str]:
    """What the section 'Args:' of a docstring says of each argument."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", inspect.getdoc(documented) or "", re.M)
    found: dict[str, str] = {}
    for block in re.split(r"^ {4}(?=\S)", section[1] if section else "", flags=re.M)[1:]:
        names, _, text = block.partition(":")
        for name in names.split(","):
            found[name.strip().lstrip("*")] = " ".join(text.split())
    return found


def commands_page() -> str:
    """Every command with its arguments, from the parsers."""
    from detkit.cli.main import COMMANDS, build_parser

    parts = ["# Commands", "Each is `detkit COMMAND` and `python tools/COMMAND.py`."]
    for name in COMMANDS:
        parser = build_parser(name, f"detkit {name}")
        formatter = parser._get_formatter()
        rows = [(", ".join(f"`{flag}`" for flag in action.option_strings) or f"`{action.metavar}`",
                 f"`{action.metavar or ' '.join(map(str, action.choices or []))}`"
                 if action.option_strings and action.nargs != 0 else "",
                 formatter._expand_help(action))
                for action in parser._actions
                if action.help != argparse.SUPPRESS and action.dest != "help"]
        parts += [f"## {name}", str(parser.description), table(("argument", "value", ""), rows),
                  f"```text\n{inspect.cleandoc(str(parser.epilog))}\n```"]
    return "\n\n".join(parts).replace("| `` |", "|  |") + "\n"


def config_keys_page() -> str:
    """The top-level keys of a config, the data options, and names of earlier versions."""
    from detkit import aliases
    from detkit.config.load_config import RUNNER_KEYS
    from detkit.data.detection.options import DataOptions

    rows = [(f"`{key}`", KEYS[key]) for key in sorted(RUNNER_KEYS)]
    options = described_arguments(DataOptions)
    renamed = [(f"`{old}`", f"`{new}`") for old, new in aliases.TYPES.items()]
    renamed += [(f'`arch="{old}"` of {name}', f'`arch="{new}"`')
                for name, archs in aliases.ARCHS.items() for old, new in archs.items()]
    return "\n\n".join([
        "# Config keys",
        "A top-level key that is neither listed here nor used in the file is an error. Nested keys "
        "are the arguments of what `type` names: [Components](components.md) for detkit's, and "
        "those of mmdet, mmcv and mmengine.",
        table(("key", ""), rows),
        "## data_options", summary(DataOptions),
        table(("option", "default", ""),
              [(f"`data_options.{field.name}`", f"`{field.default!r}`", options[field.name])
               for field in fields(DataOptions)]),
        "## Names of earlier versions",
        "They keep working in configs and checkpoints.", table(("earlier", "today"), renamed),
    ]) + "\n"


def components_page() -> str:
    """Every type that detkit registers, with its arguments."""
    from mmengine.registry import Registry

    from detkit import registry

    registry.import_mmdet()
    parts = ["# Components", "What `type` may name in a config beside the types of mmdet, mmcv and "
             "mmengine: every type that detkit registers. `torchvision/NAME` is any transform of "
             "torchvision's v2 that works on one image."]
    for name, registered in vars(registry).items():
        if not isinstance(registered, Registry):
            continue
        registered.import_from_location()
        own = {key: value for key, value in sorted(registered.module_dict.items())
               if value.__module__.startswith("detkit.") and "/" not in key}
        if own:
            parts.append(f"## {name}")
        for key, value in own.items():
            parts += [f"### {key}", summary(value), arguments_table(value),
                      f"`{value.__module__}`"]
    return "\n\n".join(part for part in parts if part) + "\n"


def arguments_table(component: Any) -> str:
    """The arguments of a class or function, with defaults and what its docstring says of them."""
    described = {**described_arguments(component), **described_arguments(component.__init__)}
    rows = [(f"`{name}`", "required" if parameter.default is parameter.empty
             else f"`{parameter.default!r}`", described.get(name, ""))
            for name, parameter in inspect.signature(component).parameters.items()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]
    return table(("argument", "default", ""), rows) if rows else ""


def configs_page() -> str:
    """Every config by its family, from the headers of the files."""
    folder = ROOT / "configs"
    headers, other_names = {}, {}
    for path in sorted(folder.rglob("*.py")):
        if "_base_" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        # An alias inherits from one config and has nothing else.
        alias_of = re.search(r'^_base_ = "(.*)"', text, re.M)
        if alias_of:
            other_names[(path.parent / alias_of[1]).resolve()] = path
        else:
            headers[path] = ast.get_docstring(ast.parse(text)) or ""
    families: dict[str, list[str]] = {}
    for path, header in headers.items():
        short, full = sorted((path, other_names.get(path, path)), key=lambda each: len(each.parts))
        title, _, body = header.partition("\n\n")
        lines = re.findall(r"^(\w+):\s+(.*)$", re.sub(r"\n {2,}", " ", body), re.M)
        names = [f"`{name.relative_to(ROOT)}`" for name in dict.fromkeys((short, full))]
        family = full.parent.name if full.parent != folder else "quickstart"
        families.setdefault(family, []).append("\n\n".join([
            f"### {short.stem}", title, ", ".join(names),
            table(("", ""), [(word, line) for word, line in lines if word != "Run"])]))
    parts = ["# All configs",
             "Each config has a short name at the top of `configs/`, which also names its work "
             "dir, and a name in its family's folder."]
    for family, sections in families.items():
        parts += [f"## {family}", *sections]
    return "\n\n".join(parts) + "\n"


def api_pages() -> Iterator[tuple[str, str]]:
    """The public names of the package, and a page for each folder with its modules' docstrings."""
    import detkit

    names = [f"- [`detkit.{name}`][{module}.{name}]" for name, module in detkit._HOMES.items()]
    modules: dict[str, list[str]] = {}
    for path in sorted((ROOT / "detkit").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not parts[-1].startswith("_"):
            modules.setdefault(parts[1] if len(parts) > 2 else "", []).append(".".join(parts))
    rows = [(f"[detkit/{folder}](api_{folder or 'detkit'}.md)",
             summary_of_file(ROOT / "detkit" / folder / "__init__.py"))
            for folder in sorted(modules)]
    yield "api", "\n\n".join(["# API", "What `import detkit` gives:", "\n".join(names),
                              "Every module, by folder:", table(("folder", ""), rows)]) + "\n"
    for folder, paths in sorted(modules.items()):
        text = [f"# detkit/{folder}", *(f"::: {name}" for name in paths)]
        yield f"api_{folder or 'detkit'}", "\n\n".join(text) + "\n"


def summary_of_file(path: Path) -> str:
    """The first paragraph of a file's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n\n")[0]


def pages() -> dict[str, str]:
    """Every generated page, by its path below the documentation's folder."""
    texts = {"commands": commands_page(), "config_keys": config_keys_page(),
             "components": components_page(), "configs": configs_page(), **dict(api_pages())}
    return {f"reference/{name}.md": text for name, text in texts.items()}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those of the folder, and the API to the navigation: called by mkdocs."""
    from mkdocs.structure.files import File

    made = pages()
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    folders = [name for name in made if name.startswith("reference/api_")]
    config.nav[-1]["API"] = ["reference/api.md", *folders]
    return files
