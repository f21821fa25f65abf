"""The visitors of the page and their files, with limits."""

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
MAX_TABS = 16  # of a visitor; the oldest is removed for a new one
IDLE_SECONDS = 120.0  # until the files of a visitor without an open page are removed
SWEEP_SECONDS = 20.0
TAB_PATTERN = re.compile(r"[A-Za-z0-9]{1,32}")  # gradio's session hash of an open page
MIN_FILE_BYTES = 4096  # minimum size of a file on disk


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
        readers: number of open event streams for the results of its calls.
        unread: number of calls while no such stream was open.
    """

    readers: int = 0
    unread: int = 0


@dataclass
class Visitor:
    """A browser.

    Attributes:
        token: the secret in its cookie.
        files: real path and size in bytes of its uploads and results, oldest first.
        tabs: its open pages by their session hash, oldest first.
        streams: number of open event streams.
        uploads: files that are being received, by the id from the browser.
        last_request_at: time of its last request, on the clock of the registry.
    """

    token: str
    last_request_at: float
    files: OrderedDict[str, int] = field(default_factory=OrderedDict)
    tabs: OrderedDict[str, Tab] = field(default_factory=OrderedDict)
    streams: int = 0
    uploads: dict[str, Upload] = field(default_factory=dict)


class VisitorRegistry:
    """The visitors, and the owner of each file. May be called from several threads.

    The files of a visitor are removed ``IDLE_SECONDS`` after its last open page and request. Above
    ``max_bytes``, the oldest files of all visitors are removed; above ``MAX_VISITORS``, the visitor
    without an open page whose last request is the oldest.

    Args:
        folder: the only folder from which files are served.
        max_bytes: maximum size of all files.
        on_forget: called with each removed tab.
        clock: returns seconds.
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
        """Add a visitor; None if too many have the page open."""
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
        """The visitor with this cookie; None if it is unknown."""
        with self._lock:
            visitor = self._visitors.get(token or "")
            if visitor is not None:
                visitor.last_request_at = self._clock()
            return visitor

    def tab(self, visitor: Visitor, name: object) -> Tab | None:
        """The tab of a visitor, created if it is new; None if it belongs to another visitor."""
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
        """Create a folder with a random name for a file."""
        path = self.folder / secrets.token_hex(16)
        path.mkdir()
        return path

    def add_file(self, token: str | None, path: Path) -> None:
        """Add a file of a visitor; the file of an unknown visitor is removed."""
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
        """The real path of a file of this visitor; None for other files."""
        if not isinstance(path, str) or "\0" in path:
            return None
        real_path = os.path.realpath(path)
        with self._lock:
            owned = real_path in visitor.files and self._is_in_folder(real_path) and os.path.isfile(
                real_path)
            return Path(real_path) if owned else None

    def total_bytes(self) -> int:
        """The size of all files of all visitors, in bytes."""
        with self._lock:
            return sum(sum(visitor.files.values()) for visitor in self._visitors.values())

    def sweep(self) -> None:
        """Remove the files of idle visitors, and old files without an owner."""
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
        """Remove a file, and its folder if it is empty; missing files are ignored."""
        for remove, target in ((os.unlink, path), (os.rmdir, os.path.dirname(path))):
            try:
                if Path(target) != self.folder:
                    remove(target)
            except OSError:
                return
