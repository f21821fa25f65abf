"""Find the component of a config that caused an exception in another library's code.

Most registered classes do not validate their arguments: a string instead of a number ends in a
TypeError somewhere inside. The frames of the traceback show which component was being built or
run, and its signature shows what it expects.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from detkit.config.validate.config_check import unqualified_name
from detkit.errors import ConfigError, DetkitError, describe_system_failure, strip_worker_traceback
from detkit.text import shorten
from detkit.walk import Node, walk, walk_dicts

_MAX_CHARS = 160
# Shorter values appear in messages by coincidence.
_MIN_QUOTE_CHARS = 4
# Types that are interchangeable in configs have the same name.
_TYPE_NAMES = {
    "bool": "bool", "str": "str", "int": "number", "float": "number", "list": "list",
    "tuple": "list", "dict": "dict"
}
_BUILDERS = ("build_from_cfg", "build_model_from_cfg", "build_scheduler_from_cfg")


@contextmanager
def config_error_context(cfg: Mapping[str, Any], action: str, runner: Any = None) -> Iterator[None]:
    """Convert an exception in the body into one line that names the config's component.

    Errors of detkit, and system failures (memory, files, other processes), pass unchanged.

    Args:
        cfg: the config that the body builds from or runs.
        action: what the body does, for the message, such as 'building the model'.
        runner: the mmengine Runner, for its log file; None before there is one.

    Raises:
        ConfigError: instead of any other exception; the traceback is written to the log file.
    """
    before = set(_file_handlers(MMLogger.get_current_instance()))
    try:
        yield
    except DetkitError:
        raise
    except Exception as error:
        if describe_system_failure(error) is not None:
            raise
        # Only this run's: the logger of an earlier run in the same process still exists.
        logs = set(_file_handlers(MMLogger.get_current_instance())) - before
        logs |= set(_file_handlers(getattr(runner, "logger", None)))
        text = "".join(traceback.format_exception(error))
        for handler in logs:
            handler.emit(logging.LogRecord("detkit", logging.ERROR, "", 0, text, None, None))
        try:
            new_error = build_config_error(cfg, error, action)
        except Exception:  # noqa: B902
            # A frame may hold any object, and comparing or printing it may fail.
            raise error from error.__cause__
        raise new_error from error


def _file_handlers(logger: logging.Logger | None) -> list[logging.FileHandler]:
    handlers = getattr(logger, "handlers", ())
    return [handler for handler in handlers if isinstance(handler, logging.FileHandler)]


def build_config_error(cfg: Mapping[str, Any], error: BaseException, action: str) -> ConfigError:
    """Build the one-line message: the component of ``cfg``, the cause, the expected arguments."""
    content = dict(cfg.items())
    text = " ".join(strip_worker_traceback(str(error)).split()) or _failing_line(error)
    cause = f"{type(error).__name__}: {shorten(text, _MAX_CHARS)}" if text else type(error).__name__
    if "(in a dataloader worker" not in text:
        cause += _raise_location(error)
    value = _quoted_value(content, text)
    frames = _frames(error)
    result = _find_component(content, frames)
    if result is None:
        path = value or _find_config_dict(content, frames)
        return ConfigError((f"{path}: " if path else "the config: ") + f"{action} failed",
                           got=cause, hint="--debug shows the traceback")
    path, component, target, frame_index = result
    suspects = _suspect_arguments(component, target)
    type_name = unqualified_name(component["type"])
    # Code that fails long after it was built probably does not fail because of its arguments.
    caused_by_arguments = bool(suspects) or any(
        frame.f_code.co_name == "__init__" or _is_builder_frame(frame)
        for frame in frames[frame_index:])
    return ConfigError(
        f"{value or path}: {action} failed in {type_name}", got=cause,
        expected="; ".join(suspects) or None,
        hint=f"see the arguments of {target.__module__}.{target.__qualname__}"
        if inspect.isclass(target) and caused_by_arguments else "--debug shows the traceback",
    )


def _failing_line(error: BaseException) -> str:
    """The source line that raised, for an error without a message, such as an assertion."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].line or "") if frames else ""


def _raise_location(error: BaseException) -> str:
    """' at FILE:LINE' of the code that raised; '' without Python frames."""
    location = ""
    for cause in _causes(error):
        frames = traceback.extract_tb(cause.__traceback__)
        if frames:
            location = f" at {frames[-1].filename}:{frames[-1].lineno}"
            if "mmengine" not in Path(frames[-1].filename).parts:
                break  # mmengine's builders and hooks re-raise what they catch.
    return location


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error``, its cause, the cause of that, and so on."""
    visited: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in visited:  # An error may be its own cause.
        visited.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _frames(error: BaseException) -> list[FrameType]:
    """The frames of ``error`` and of its causes, the innermost first."""
    frames: list[FrameType] = []
    for cause in _causes(error):
        # mmengine re-raises a hook's exception 'from None', so __context__ is followed as well.
        tb_frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
        frames = [*reversed(tb_frames), *frames]
    return frames


def _quoted_value(content: Mapping[str, Any], text: str) -> str | None:
    """The path of the single config value that ``text`` quotes; None for none or several."""
    paths = []
    for node in walk(content):
        value = node.value
        if _is_quotable(node) and (repr(value) in text
                                   or isinstance(value, str) and text.endswith(f"got {value}")):
            paths.append(node.path)
    return paths[0] if len(paths) == 1 else None


def _is_quotable(node: Node) -> bool:
    """Whether errors quote such a value: no dict, no scalar item of a list, not too short."""
    value = node.value
    if isinstance(value, (Mapping, bool)) or value is None:
        return False
    is_scalar_item = node.path.endswith("]") and not isinstance(value, (list, tuple))
    return not is_scalar_item and len(repr(value)) >= _MIN_QUOTE_CHARS


def _find_component(
    content: Mapping[str, Any], frames: list[FrameType]
) -> tuple[str, Mapping[str, Any], Any, int] | None:
    """The innermost active component: path, dict in the config, class or None, frame index."""
    components_by_type: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for path, component in walk_dicts(content):
        if "type" not in component:
            continue
        components_by_type.setdefault(unqualified_name(component["type"]), []).append(
            (path, component))
    built_cfg: Mapping[str, Any] | None = None
    for index, frame in enumerate(frames):
        values = frame.f_locals
        if _is_builder_frame(frame):
            built_cfg = values["cfg"]
            type_name = unqualified_name(built_cfg.get("type", ""))
            target = values.get("obj_cls")
        else:
            owner = values.get("self")
            target = type(owner)
            type_name = target.__name__
        if type_name in components_by_type:
            path, component = _most_similar(
                components_by_type[type_name], built_cfg or _outer_builder_cfg(frame, type_name))
            return path, component, target, index
    return None


def _is_builder_frame(frame: FrameType) -> bool:
    return frame.f_code.co_name in _BUILDERS and isinstance(frame.f_locals.get("cfg"), Mapping)


def _find_config_dict(content: Mapping[str, Any], frames: list[FrameType]) -> str | None:
    """The path of a config dict that an active frame holds, the innermost frame first."""
    dicts = [(path, value) for path, value in walk_dicts(content) if path and value]
    for frame in frames:
        if isinstance(frame.f_locals.get("self"), Runner):
            return None  # The Runner holds all of them.
        attributes = getattr(frame.f_locals.get("self"), "__dict__", {})
        for value in [*frame.f_locals.values(), *attributes.values()]:
            if not isinstance(value, Mapping):
                continue
            # Keys first: the repr of data in a frame may be hundreds of megabytes long.
            for path, config_dict in dicts:
                if value.keys() == config_dict.keys() and repr(value) == repr(config_dict):
                    return path
    return None


def _outer_builder_cfg(frame: FrameType, type_name: str) -> Mapping[str, Any] | None:
    """The dict from which the builder around ``frame`` builds a ``type_name``; None without."""
    outer = frame.f_back
    while outer is not None:
        built_cfg = outer.f_locals.get("cfg")
        if outer.f_code.co_name in _BUILDERS and isinstance(built_cfg, Mapping):
            built_type = unqualified_name(built_cfg.get("type", ""))
            return built_cfg if built_type == type_name else None
        outer = outer.f_back
    return None


def _most_similar(
    candidates: list[tuple[str, Mapping[str, Any]]], built_cfg: Mapping[str, Any] | None
) -> tuple[str, Mapping[str, Any]]:
    """The candidate, of several components of one type, most similar to what is built."""
    if built_cfg is None or len(candidates) == 1:
        return candidates[0]
    return max(candidates, key=lambda item: sum(k in built_cfg and _equals(built_cfg[k], v)
                                                for k, v in item[1].items()))


def _equals(left: Any, right: Any) -> bool:
    return type(left) is type(right) and repr(left) == repr(right)


def _suspect_arguments(component: Mapping[str, Any], target: Any) -> list[str]:
    """Arguments whose type differs from that of the default or annotation in the signature."""
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return []
    suspects = []
    for name, value in component.items():
        parameter = parameters.get(str(name))
        if parameter is None or value is None or parameter.default is None:
            continue
        if parameter.default is not parameter.empty:
            if _type_name(value) != _type_name(parameter.default):
                suspects.append(f"{name} like its default {parameter.default!r}, not {value!r}")
        elif _TYPE_NAMES.get(_annotation_name(parameter.annotation),
                             _type_name(value)) != _type_name(value):
            suspects.append(
                f"{name} of type {_annotation_name(parameter.annotation)}, not {value!r}")
    return suspects


def _annotation_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _type_name(value: Any) -> str:
    for cls in (bool, str, int, float, list, tuple):
        if isinstance(value, cls):
            return _TYPE_NAMES[cls.__name__]
    return "dict" if isinstance(value, Mapping) else type(value).__name__
