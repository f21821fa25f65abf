"""The component of a config that an exception of someone else's code came from.

The classes that a config names check little of what they are given: a word for a number ends in
a TypeError somewhere inside. The frames of such an error tell which component of the config was
being built or run, and its signature what it takes.
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
# Shorter values stand in messages by chance.
_MIN_QUOTE_CHARS = 4
# Types that configs use for one another.
_TYPE_NAMES = {
    "bool": "bool", "str": "str", "int": "number", "float": "number", "list": "list",
    "tuple": "list", "dict": "dict"
}
_BUILDERS = ("build_from_cfg", "build_model_from_cfg", "build_scheduler_from_cfg")


@contextmanager
def config_error_context(cfg: Mapping[str, Any], action: str, runner: Any = None) -> Iterator[None]:
    """Turn an exception in the body into one line that names the config's component.

    Errors of detkit, and those that memory, files and other processes caused, pass as they are.

    Args:
        cfg: the config that the body builds from or runs.
        action: what the body does, for the message, such as 'building the model'.
        runner: the run that is at work, for its log file; None before there is one.

    Raises:
        ConfigError: in place of any other exception; its traceback goes to the run's log file.
    """
    before = set(_file_handlers(MMLogger.get_current_instance()))
    try:
        yield
    except DetkitError:
        raise
    except Exception as error:
        if describe_system_failure(error) is not None:
            raise
        # Of this run alone: the logger of an earlier one in the same process is still there.
        logs = set(_file_handlers(MMLogger.get_current_instance())) - before
        logs |= set(_file_handlers(getattr(runner, "logger", None)))
        text = "".join(traceback.format_exception(error))
        for handler in logs:
            handler.emit(logging.LogRecord("detkit", logging.ERROR, "", 0, text, None, None))
        try:
            new_error = build_config_error(cfg, error, action)
        except Exception:  # noqa: B902
            # Any object may stand in a frame, and fail where it is compared or shown.
            raise error from error.__cause__
        raise new_error from error


def _file_handlers(logger: logging.Logger | None) -> list[logging.FileHandler]:
    return [one for one in getattr(logger, "handlers", ()) if isinstance(one, logging.FileHandler)]


def build_config_error(cfg: Mapping[str, Any], error: BaseException, action: str) -> ConfigError:
    """The one line for ``error``: the component of ``cfg``, what it was given, what it takes."""
    content = dict(cfg.items())
    text = " ".join(strip_worker_traceback(str(error)).split()) or _failing_line(error)
    cause = f"{type(error).__name__}: {shorten(text, _MAX_CHARS)}" if text else type(error).__name__
    if "(in a data loading process" not in text:
        cause += _raise_location(error)
    value = _quoted_value(content, text)
    frames = _frames(error)
    result = _find_component(content, frames)
    if result is None:
        path = value or _find_config_dict(content, frames)
        return ConfigError((f"{path}: " if path else "the config: ") + f"{action} failed",
                           got=cause, hint="--debug shows where it failed")
    path, component, target, frame_index = result
    suspects = _suspect_arguments(component, target)
    kind = unqualified_name(component["type"])
    # Code that is at work long after it was built fails for other reasons than its arguments.
    caused_by_arguments = bool(suspects) or any(
        frame.f_code.co_name == "__init__" or _is_builder_frame(frame)
        for frame in frames[frame_index:])
    return ConfigError(
        f"{value or path}: {action} failed in {kind}", got=cause,
        expected="; ".join(suspects) or None,
        hint=f"see what {target.__module__}.{target.__qualname__} takes"
        if inspect.isclass(target) and caused_by_arguments else "--debug shows where it failed",
    )


def _failing_line(error: BaseException) -> str:
    """The line of code that raised, for an error without words, such as an assertion."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].line or "") if frames else ""


def _raise_location(error: BaseException) -> str:
    """' at FILE:LINE' of the code that raised; empty where no code of Python did."""
    location = ""
    for one in _causes(error):
        frames = traceback.extract_tb(one.__traceback__)
        if frames:
            location = f" at {frames[-1].filename}:{frames[-1].lineno}"
            if "mmengine" not in Path(frames[-1].filename).parts:
                break  # mmengine's builders and hooks raise what they caught once more.
    return location


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error``, what caused it, what caused that, and so on."""
    visited: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in visited:  # An error may be its own cause.
        visited.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _frames(error: BaseException) -> list[FrameType]:
    """The frames of ``error`` and of what caused it, the innermost first."""
    frames: list[FrameType] = []
    for one in _causes(error):
        # mmengine raises what a hook raised once more, from another place and 'from None'.
        frames = [*(frame for frame, _ in reversed(list(traceback.walk_tb(one.__traceback__)))),
                  *frames]
    return frames


def _quoted_value(content: Mapping[str, Any], text: str) -> str | None:
    """The path of the only value of the config that ``text`` quotes; None for none or several."""
    result = [
        node.path for node in walk(content) if _is_quotable(node)
        and not ((value := node.value) is None or isinstance(value, bool)) and len(repr(value)) >= _MIN_QUOTE_CHARS
        and (repr(value) in text or isinstance(value, str) and text.endswith(f"got {value}"))
    ]
    return result[0] if len(result) == 1 else None


def _is_quotable(node: Node) -> bool:
    """Whether an error may quote a value: no dict, and no single item of a list."""
    return not isinstance(node.value, Mapping) and (isinstance(node.value, (list, tuple))
                                                    or not node.path.endswith("]"))


def _find_component(
    content: Mapping[str, Any], frames: list[FrameType]
) -> tuple[str, Mapping[str, Any], Any, int] | None:
    """The innermost component at work: path, dict in the config, class or None, index of frame."""
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
            kind = unqualified_name(built_cfg.get("type", ""))
            target = values.get("obj_cls")
        else:
            owner = values.get("self")
            target = type(owner)
            kind = target.__name__
        if kind in components_by_type:
            path, component = _most_similar(components_by_type[kind], built_cfg
                                            or _outer_builder_cfg(frame, kind))
            return path, component, target, index
    return None


def _is_builder_frame(frame: FrameType) -> bool:
    return frame.f_code.co_name in _BUILDERS and isinstance(frame.f_locals.get("cfg"), Mapping)


def _find_config_dict(content: Mapping[str, Any], frames: list[FrameType]) -> str | None:
    """The path of a dict of the config that the code at work holds, the innermost code first."""
    dicts = [(path, value) for path, value in walk_dicts(content) if path and value]
    for frame in frames:
        if isinstance(frame.f_locals.get("self"), Runner):
            return None  # It holds all of them.
        attributes = getattr(frame.f_locals.get("self"), "__dict__", {})
        for value in [*frame.f_locals.values(), *attributes.values()]:
            if not isinstance(value, Mapping):
                continue
            # The keys first: data that a frame holds may be hundreds of megabytes of text.
            for path, config_dict in dicts:
                if value.keys() == config_dict.keys() and repr(value) == repr(config_dict):
                    return path
    return None


def _outer_builder_cfg(frame: FrameType, kind: str) -> Mapping[str, Any] | None:
    """The dict that the builder around ``frame`` builds a ``kind`` from; None when none does."""
    outer = frame.f_back
    while outer is not None:
        built_cfg = outer.f_locals.get("cfg")
        if outer.f_code.co_name in _BUILDERS and isinstance(built_cfg, Mapping):
            return built_cfg if unqualified_name(built_cfg.get("type", "")) == kind else None
        outer = outer.f_back
    return None


def _most_similar(
    candidates: list[tuple[str, Mapping[str, Any]]], built_cfg: Mapping[str, Any] | None
) -> tuple[str, Mapping[str, Any]]:
    """Of components of one type the one that shares the most with what is built."""
    if built_cfg is None or len(candidates) == 1:
        return candidates[0]
    return max(candidates, key=lambda one: sum(k in built_cfg and _same(built_cfg[k], v)
                                               for k, v in one[1].items()))


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


def _suspect_arguments(component: Mapping[str, Any], target: Any) -> list[str]:
    """Arguments of another type than the class's signature has as default or annotation."""
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return []
    result = []
    for name, value in component.items():
        parameter = parameters.get(str(name))
        if parameter is None or value is None or parameter.default is None:
            continue
        if parameter.default is not parameter.empty:
            if _type_name(value) != _type_name(parameter.default):
                result.append(f"{name} like its default {parameter.default!r} and not {value!r}")
        elif _TYPE_NAMES.get(_annotation_name(parameter.annotation),
                             _type_name(value)) != _type_name(value):
            result.append(
                f"{name} of type {_annotation_name(parameter.annotation)} and not {value!r}")
    return result


def _annotation_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _type_name(value: Any) -> str:
    for kind in (bool, str, int, float, list, tuple):
        if isinstance(value, kind):
            return _TYPE_NAMES[kind.__name__]
    return "dict" if isinstance(value, Mapping) else type(value).__name__
