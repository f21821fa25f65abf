"""The visitors of the page, and the files that each of them owns, within bounds."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MAX_VISITORS = 200
MAX_TABS = 16  # of one visitor; of more the oldest is forgotten
IDLE_SECONDS = 120.0  # after which the files of a visitor without an open page are removed
SWEEP_SECONDS = 20.0
TAB_PATTERN = re.compile(r"[A-Za-z0-9]{1,32}")  # gradio's name of an open page
MIN_FILE_BYTES = 4096  # the least that a file takes on disk


@dataclass
class Upload:
    """A file that is being received."""

    name: str = ""
    received: int = 0
    done: bool = False


@dataclass
class Tab:
    """An open page of a browser.

    Attributes:
        readers: how many event streams with the results of its calls it holds open.
        unread: its calls while it held none open.
    """

    readers: int = 0
    unread: int = 0


@dataclass
class Visitor:
    """One browser.

    Attributes:
        token: the secret in its cookie.
        files: real path and bytes of what it uploaded and of what was made for it, oldest first.
        tabs: its open pages by gradio's names of them, oldest first.
        streams: how many event streams it holds open.
        uploads: what is being received, by the browser's id.
        last_request_at: when its last request came, on the registry's clock.
    """

    token: str
    last_request_at: float
    files: OrderedDict[str, int] = field(default_factory=OrderedDict)
    tabs: OrderedDict[str, Tab] = field(default_factory=OrderedDict)
    streams: int = 0
    uploads: dict[str, Upload] = field(default_factory=dict)


class VisitorRegistry:
    """Who visits the page, and whose each file is. May be called from many threads.

    A visitor's files are removed ``IDLE_SECONDS`` after its last open page and request. Beyond
    ``max_bytes`` of all visitors together the oldest files are removed; beyond ``MAX_VISITORS``
    the one who came longest ago, of those without an open page, is forgotten.

    Args:
        folder: the one folder in which files are served.
        max_bytes: of all files on disk.
        on_forget: called with each tab that is forgotten.
        clock: seconds.
    """

    def __init__(
        self, folder: Path, max_bytes: int, on_forget: Callable[[str], None] = lambda tab: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder.resolve()
        self._max_bytes = max_bytes
        self._on_forget = on_forget
        self._clock = clock
        self._lock = threading.RLock()
        self._visitors: OrderedDict[str, Visitor] = OrderedDict()
        self._owner_of_tab: dict[str, str] = {}
        self._owner_by_path: OrderedDict[str, str] = OrderedDict()  # real path: token, oldest first

    def add_visitor(self) -> Visitor | None:
        """A new visitor; None when there are too many that have the page open."""
        with self._lock:
            if len(self._visitors) >= MAX_VISITORS:
                idle = [visitor for visitor in self._visitors.values() if not visitor.streams]
                if not idle:
                    return None
                self._forget(min(idle, key=lambda visitor: visitor.last_request_at))
            visitor = Visitor(secrets.token_urlsafe(24), self._clock())
            self._visitors[visitor.token] = visitor
            return visitor

    def get(self, token: str | None) -> Visitor | None:
        """The visitor of a cookie."""
        with self._lock:
            visitor = self._visitors.get(token or "")
            if visitor is not None:
                visitor.last_request_at = self._clock()
            return visitor

    def tab(self, visitor: Visitor, name: object) -> Tab | None:
        """A visitor's tab, which is new when no one has it; None when it is another's."""
        if not isinstance(name, str) or TAB_PATTERN.fullmatch(name) is None:
            return None
        with self._lock:
            if self._owner_of_tab.setdefault(name, visitor.token) != visitor.token:
                return None
            tab = visitor.tabs.setdefault(name, Tab())
            visitor.tabs.move_to_end(name)
            if len(visitor.tabs) > MAX_TABS:
                self._forget_tab(visitor.tabs.popitem(last=False)[0])
            return tab

    def new_folder(self) -> Path:
        """A folder of its own for one file, whose name no one can guess."""
        path = self.folder / secrets.token_hex(16)
        path.mkdir()
        return path

    def add_file(self, token: str | None, path: Path) -> None:
        """Let a visitor have a file; that of an unknown visitor is removed at once."""
        with self._lock:
            visitor = self._visitors.get(token or "")
            real_path = str(path.resolve())
            if visitor is None or not self._is_in_folder(real_path):
                path.unlink(missing_ok=True)
                return
            visitor.files[real_path] = max(MIN_FILE_BYTES, os.stat(real_path).st_size)
            self._owner_by_path[real_path] = visitor.token
            while self.total_bytes() > self._max_bytes and len(self._owner_by_path) > 1:
                self._remove(next(iter(self._owner_by_path)))

    def file(self, visitor: Visitor, path: object) -> Path | None:
        """The real path of a file that this visitor owns; None for every other."""
        if not isinstance(path, str) or "\0" in path:
            return None
        real_path = os.path.realpath(path)
        with self._lock:
            owned = real_path in visitor.files and self._is_in_folder(real_path) and os.path.isfile(
                real_path)
            return Path(real_path) if owned else None

    def total_bytes(self) -> int:
        """The bytes of all files of all visitors."""
        with self._lock:
            return sum(sum(visitor.files.values()) for visitor in self._visitors.values())

    def sweep(self) -> None:
        """Remove the files of idle visitors, and those that no one owns or writes any more."""
        with self._lock:
            now = self._clock()
            for visitor in self._visitors.values():
                if not visitor.streams and now - visitor.last_request_at > IDLE_SECONDS:
                    self._remove_all(visitor)
            before = time.time() - IDLE_SECONDS
            for folder, _, names in os.walk(self.folder):
                for name in names:
                    path = os.path.join(folder, name)
                    if path not in self._owner_by_path and os.lstat(path).st_mtime < before:
                        self._unlink(path)

    def _is_in_folder(self, real_path: str) -> bool:
        return Path(real_path).is_relative_to(self.folder)

    def _forget(self, visitor: Visitor) -> None:
        self._remove_all(visitor)
        del self._visitors[visitor.token]

    def _remove_all(self, visitor: Visitor) -> None:
        while visitor.tabs:
            self._forget_tab(visitor.tabs.popitem()[0])
        for real_path in list(visitor.files):
            self._remove(real_path)

    def _forget_tab(self, tab: str) -> None:
        self._owner_of_tab.pop(tab, None)
        self._on_forget(tab)

    def _remove(self, real_path: str) -> None:
        self._visitors[self._owner_by_path.pop(real_path)].files.pop(real_path)
        self._unlink(real_path)

    def _unlink(self, path: str) -> None:
        """Remove a file, and its folder when that is empty now; what is gone already is fine."""
        for remove, target in ((os.unlink, path), (os.rmdir, os.path.dirname(path))):
            try:
                if Path(target) != self.folder:
                    remove(target)
            except OSError:
                return
