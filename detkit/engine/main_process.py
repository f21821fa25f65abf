"""Work that one process of a run does for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

T = TypeVar("T")


def run_on_main_process(work: Callable[[], T]) -> T:
    """Let the main process do ``work`` and give all of them what came of it, an error too."""
    # An error travels too: the other processes would wait for ever for data that never comes.
    box: list[Any] = [None]
    if is_main_process():
        try:
            box[0] = work()
        except Exception as error:
            box[0] = error
    broadcast_object_list(box)
    if isinstance(box[0], Exception):
        raise box[0]
    done: T = box[0]
    return done
