"""Depth-first traversal of a config: nested dicts and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class Node(NamedTuple):
    """A value in a config, and its position.

    Args:
        path: dotted, with list indices, such as ``model.neck[0].norm_cfg``.
        keys: the dict keys of ``path``, without list indices.
        value: a dict, a list or a leaf.
        parent: the closest dict that contains the value; None for the root.
    """

    path: str
    keys: tuple[str, ...]
    value: Any
    parent: Mapping[str, Any] | None

    @property
    def key(self) -> str:
        """The last dict key; the items of a list have the list's. '' for a root without a key."""
        return self.keys[-1] if self.keys else ""


def walk(value: Any, path: str = "", key: str = "",
         enter: Callable[[Node], bool] | None = None) -> Iterator[Node]:
    """Yield ``value`` and everything inside it, parents before their items.

    A yielded dict may be changed before the next node is requested.

    Args:
        value: a config, or any part of one.
        path: of ``value``.
        key: the dict key of ``value``.
        enter: False for a yielded dict or list whose items are skipped; None enters all.
    """
    return _walk(Node(path, (key,) if key else (), value, None), enter)


def walk_dicts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the dict of every dict in ``value``, itself included, parents first."""
    return ((node.path, node.value) for node in walk(value, path)
            if isinstance(node.value, Mapping))


def _walk(node: Node, enter: Callable[[Node], bool] | None) -> Iterator[Node]:
    yield node
    path, keys, value, parent = node
    if not isinstance(value, (Mapping, list, tuple, set)) or enter is not None and not enter(node):
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            item_path = f"{path}.{name}" if path else str(name)
            yield from _walk(Node(item_path, (*keys, str(name)), item, value), enter)
    else:
        for index, item in enumerate(value):
            yield from _walk(Node(f"{path}[{index}]", keys, item, parent), enter)
