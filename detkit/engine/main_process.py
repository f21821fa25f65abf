"""Work that one process of a run does for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

T = TypeVar("T")


def run_on_main_process(fn: Callable[[], T]) -> T:
    """Let the main process do ``fn`` and give all of them what came of it, an error too."""
    # An error travels too: the other processes would wait for ever for data that never comes.
    outcome: list[Any] = [None]
    if is_main_process():
        try:
            outcome[0] = fn()
        except Exception as error:
            outcome[0] = error
    broadcast_object_list(outcome)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    result: T = outcome[0]
    return result
