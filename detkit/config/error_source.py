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

from detkit.config.validate.config_check import config_dicts, short_name, typed_dicts
from detkit.errors import ConfigError, DetkitError, machine_failure, without_worker_traceback

_SHOWN = 160
# Shorter values stand in messages by chance.
_LEAST_QUOTE = 4
# Types that configs use for one another.
_KINDS = {"bool": "bool", "str": "str", "int": "number", "float": "number", "list": "list",
          "tuple": "list", "dict": "dict"}
_BUILDERS = ("build_from_cfg", "build_model_from_cfg", "build_scheduler_from_cfg")


@contextmanager
def blame_config(cfg: Mapping[str, Any], doing: str, runner: Any = None) -> Iterator[None]:
    """Turn an exception in the body into one line that names the config's component.

    Errors of detkit, and those that memory, files and other processes caused, pass as they are.

    Args:
        cfg: the config that the body builds from or runs.
        doing: what the body does, for the message, such as 'building the model'.
        runner: the run that is at work, for its log file; None before there is one.

    Raises:
        ConfigError: in place of any other exception; its traceback goes to the run's log file.
    """
    before = set(_log_files(MMLogger.get_current_instance()))
    try:
        yield
    except DetkitError:
        raise
    except Exception as error:
        if machine_failure(error) is not None:
            raise
        # Of this run alone: the logger of an earlier one in the same process is still there.
        logs = set(_log_files(MMLogger.get_current_instance())) - before
        logs |= set(_log_files(getattr(runner, "logger", None)))
        text = "".join(traceback.format_exception(error))
        for handler in logs:
            handler.emit(logging.LogRecord("detkit", logging.ERROR, "", 0, text, None, None))
        try:
            told = config_error(cfg, error, doing)
        except Exception:  # noqa: B902
            # Any object may stand in a frame, and fail where it is compared or shown.
            raise error from error.__cause__
        raise told from error


def _log_files(logger: logging.Logger | None) -> list[logging.FileHandler]:
    return [one for one in getattr(logger, "handlers", ()) if isinstance(one, logging.FileHandler)]


def config_error(cfg: Mapping[str, Any], error: BaseException, doing: str) -> ConfigError:
    """The one line for ``error``: the component of ``cfg``, what it was given, what it takes."""
    content = dict(cfg.items())
    text = " ".join(without_worker_traceback(str(error)).split()) or _failed_line(error)
    cause = f"{type(error).__name__}: {shortened(text)}" if text else type(error).__name__
    if "(in a data loading process" not in text:
        cause += _place(error)
    value = _quoted_value(content, text)
    frames = _frames(error)
    found = _component(content, frames)
    if found is None:
        path = value or _plain_dict(content, frames)
        return ConfigError((f"{path}: " if path else "the config: ") + f"{doing} failed",
                           got=cause, do="--debug shows where it failed")
    path, component, target, at = found
    doubtful = _doubtful_arguments(component, target)
    kind = short_name(component["type"])
    # Code that is at work long after it was built fails for other reasons than its arguments.
    of_arguments = bool(doubtful) or any(frame.f_code.co_name == "__init__" or _builds(frame)
                                         for frame in frames[at:])
    return ConfigError(
        f"{value or path}: {doing} failed in {kind}", got=cause,
        expected="; ".join(doubtful) or None,
        do=f"see what {target.__module__}.{target.__qualname__} takes"
        if inspect.isclass(target) and of_arguments else "--debug shows where it failed",
    )


def _failed_line(error: BaseException) -> str:
    """The line of code that raised, for an error without words, such as an assertion."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].line or "") if frames else ""


def _place(error: BaseException) -> str:
    """' at FILE:LINE' of the code that raised; empty where no code of Python did."""
    place = ""
    for one in _causes(error):
        frames = traceback.extract_tb(one.__traceback__)
        if frames:
            place = f" at {frames[-1].filename}:{frames[-1].lineno}"
            if "mmengine" not in Path(frames[-1].filename).parts:
                break  # mmengine's builders and hooks raise what they caught once more.
    return place


def shortened(text: str) -> str:
    """``text``, cut where it is long."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error``, what caused it, what caused that, and so on."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:  # An error may be its own cause.
        seen.add(id(one))
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
    found = [path for path, value in _leaves(content)
             if not (value is None or isinstance(value, bool)) and len(repr(value)) >= _LEAST_QUOTE
             and (repr(value) in text or isinstance(value, str) and text.endswith(f"got {value}"))]
    return found[0] if len(found) == 1 else None


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no dict, with its path; lists whole and each of their items."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else str(name))
        return
    yield path, value
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if isinstance(item, (Mapping, list, tuple)):
                yield from _leaves(item, f"{path}[{index}]")


def _component(
    content: Mapping[str, Any], frames: list[FrameType]
) -> tuple[str, Mapping[str, Any], Any, int] | None:
    """The innermost component at work: path, dict in the config, class or None, index of frame."""
    known: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for path, component in typed_dicts(content):
        known.setdefault(short_name(component["type"]), []).append((path, component))
    given: Mapping[str, Any] | None = None
    for index, frame in enumerate(frames):
        values = frame.f_locals
        if _builds(frame):
            given = values["cfg"]
            kind = short_name(given.get("type", ""))
            target = values.get("obj_cls")
        else:
            owner = values.get("self")
            target = type(owner)
            kind = target.__name__
        if kind in known:
            path, component = _most_alike(known[kind], given or _given_outside(frame, kind))
            return path, component, target, index
    return None


def _builds(frame: FrameType) -> bool:
    return frame.f_code.co_name in _BUILDERS and isinstance(frame.f_locals.get("cfg"), Mapping)


def _plain_dict(content: Mapping[str, Any], frames: list[FrameType]) -> str | None:
    """The path of a dict of the config that the code at work holds, the innermost code first."""
    dicts = [(path, value) for path, value in config_dicts(content) if path and value]
    for frame in frames:
        if isinstance(frame.f_locals.get("self"), Runner):
            return None  # It holds all of them.
        own = getattr(frame.f_locals.get("self"), "__dict__", {})
        for value in [*frame.f_locals.values(), *own.values()]:
            if not isinstance(value, Mapping):
                continue
            # The keys first: data that a frame holds may be hundreds of megabytes of text.
            for path, ours in dicts:
                if value.keys() == ours.keys() and repr(value) == repr(ours):
                    return path
    return None


def _given_outside(frame: FrameType, kind: str) -> Mapping[str, Any] | None:
    """The dict that the builder around ``frame`` builds a ``kind`` from; None when none does."""
    outer = frame.f_back
    while outer is not None:
        given = outer.f_locals.get("cfg")
        if outer.f_code.co_name in _BUILDERS and isinstance(given, Mapping):
            return given if short_name(given.get("type", "")) == kind else None
        outer = outer.f_back
    return None


def _most_alike(
    candidates: list[tuple[str, Mapping[str, Any]]], given: Mapping[str, Any] | None
) -> tuple[str, Mapping[str, Any]]:
    """Of components of one type the one that shares the most with what is built."""
    if given is None or len(candidates) == 1:
        return candidates[0]
    return max(candidates, key=lambda one: sum(k in given and _same(given[k], v)
                                               for k, v in one[1].items()))


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


def _doubtful_arguments(component: Mapping[str, Any], target: Any) -> list[str]:
    """Arguments of another type than the class's signature has as default or annotation."""
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return []
    found = []
    for name, value in component.items():
        parameter = parameters.get(str(name))
        if parameter is None or value is None or parameter.default is None:
            continue
        if parameter.default is not parameter.empty:
            if _kind(value) != _kind(parameter.default):
                found.append(f"{name} like its default {parameter.default!r} and not {value!r}")
        elif _KINDS.get(_name_of(parameter.annotation), _kind(value)) != _kind(value):
            found.append(f"{name} of type {_name_of(parameter.annotation)} and not {value!r}")
    return found


def _name_of(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _kind(value: Any) -> str:
    for kind in (bool, str, int, float, list, tuple):
        if isinstance(value, kind):
            return _KINDS[kind.__name__]
    return "dict" if isinstance(value, Mapping) else type(value).__name__
