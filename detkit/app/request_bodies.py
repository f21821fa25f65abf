"""The bodies of requests to the page: their size, their pace, and what may stand in them."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from detkit.app.calls import Calls
from detkit.app.visitors import Tab, Upload, Visitor, Visitors

CALL_BYTES = 6 * 1024 * 1024  # of a request; a camera's JPEG of 4 megapixels takes less
CALLS_BYTES = 64 * 1024 * 1024  # of the requests that are being received at one time
UNREAD = 30  # calls of a page that does not read what they give
UPLOADS = 4  # that are received at one time
FORM_BYTES = 64 * 1024  # that a form adds to its file
PATIENCE_SECONDS, SLOWEST_BYTES = 30, 16 * 1024  # a body: this long, and longer by its bytes
DEPTH = 20  # of lists and objects in one another
BRACKETS = 1000  # that open a list or an object; the page sends about ten
IMAGE_ADDRESS = re.compile(r"data:image/(?:jpeg|png|webp);base64,[A-Za-z0-9+/]*={0,2}")
FIELDS = ("data", "event_id", "fn_index", "session_hash", "trigger_id")
FILE_NAME = re.compile(rb'filename="([^"]*)"')
UNSAFE = re.compile(r"[^\w. ()+-]")
NAME_LENGTH = 100
NAME_BYTES = 200  # of a file name without its suffix; systems take 255


class Refused(Exception):
    """A request that is answered with a status and a line of text alone."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Bodies:
    """Reads the bodies of requests, so many at a time.

    Args:
        visitors: whose files may stand in requests, and who gets those that are uploaded.
        max_upload: bytes of a file.
        calls: what may be called.
    """

    def __init__(self, visitors: Visitors, max_upload: int, calls: Calls) -> None:
        self._visitors = visitors
        self._calls = calls
        self._max_upload = max_upload
        self._calls_bytes = 0
        self._uploads = 0

    async def read_call(self, request: Request, visitor: Visitor) -> bytes:
        """The body of a call of a function, as gradio may see it: files of this visitor alone.

        Raises:
            Refused: it is too large or slow, no JSON, names a file that is not the visitor's, or
                is none that the page itself makes.
        """
        length = request.headers.get("content-length", "0")
        size = int(length) if length.isdigit() and len(length) < 12 else CALL_BYTES + 1
        if "transfer-encoding" in request.headers or size > CALL_BYTES:
            raise Refused(413, f"got {length} bytes, expected at most {CALL_BYTES}, told ahead")
        if self._calls_bytes + size > CALLS_BYTES:
            raise Refused(503, "the server is busy; try again")
        self._calls_bytes += size
        try:
            body = b"".join([part async for part in _paced(request, size).stream()])
        finally:
            self._calls_bytes -= size
        # A million of them would hold the server up for seconds.
        if body.count(b"[") + body.count(b"{") > BRACKETS:
            raise Refused(400, f"more than {BRACKETS} lists and objects")
        try:
            call = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            raise Refused(400, "not JSON") from None
        if not isinstance(call, dict):
            raise Refused(400, "expected a JSON object")
        if call:
            self._count(self._visitors.tab(visitor, call.get("session_hash")))
        kept = self._checked({name: call[name] for name in FIELDS if name in call}, visitor)
        fault = self._calls.fault(kept, "/stream/" in request.scope["path"]) if kept else None
        if fault is not None:
            raise Refused(400, fault)
        return json.dumps(kept).encode()

    def _count(self, tab: Tab | None) -> None:
        """What a tab does not read is kept in memory for it: it may not call on for ever."""
        if tab is None:
            raise Refused(403, "the page belongs to another browser; reload it")
        if not tab.readers:
            tab.unread += 1
            if tab.unread > UNREAD:
                raise Refused(429, f"{UNREAD} results are not read")

    async def receive_file(self, request: Request, visitor: Visitor) -> list[str]:
        """Take one uploaded file; gives its path, as gradio's page expects it.

        Raises:
            Refused: it is too large or slow, or others are being received.
        """
        if self._uploads >= UPLOADS or len(visitor.uploads) >= UPLOADS:
            raise Refused(503, f"{UPLOADS} files are being received; try again")
        word = request.query_params.get("upload_id", "")[:NAME_LENGTH]
        upload = visitor.uploads.setdefault(word, Upload())
        self._uploads += 1

        def count(part: bytes) -> None:
            if not upload.received:
                name = FILE_NAME.search(part)
                upload.name = name.group(1).decode(errors="replace") if name else ""
            upload.received += len(part)

        try:
            paced = _paced(request, self._max_upload + FORM_BYTES, count)
            async with paced.form(max_files=1, max_fields=0) as form:
                sent = form.get("files")
                if not isinstance(sent, UploadFile):
                    raise Refused(400, "expected a form with one file")
                if (sent.size or 0) > self._max_upload:
                    raise Refused(413, f"the file exceeds {self._max_upload} bytes")
                path = self._visitors.new_folder() / _safe_name(sent.filename)
                await asyncio.to_thread(_write, sent.file, path)
                self._visitors.add_file(visitor.token, path)
                return [str(path)]
        except (HTTPException, MultiPartException, ValueError):  # the last of its form's reader
            raise Refused(400, "expected a form with one file") from None
        except OSError as error:
            raise Refused(507, f"the file cannot be stored: {error.strerror}") from None
        finally:
            upload.done = True
            self._uploads -= 1
            visitor.uploads.pop(word, None)

    def _checked(self, value: Any, visitor: Visitor, depth: int = 0) -> Any:
        """``value`` with each object that stands for a file made anew of what was checked."""
        if depth > DEPTH:
            raise Refused(400, f"more than {DEPTH} lists and objects in one another")
        if isinstance(value, list):
            return [self._checked(one, visitor, depth + 1) for one in value]
        if not isinstance(value, dict):
            return value
        if not {"path", "url"} & value.keys():
            return {name: self._checked(one, visitor, depth + 1) for name, one in value.items()}
        address = value.get("url")
        if value.get("path") is None:
            if isinstance(address, str) and IMAGE_ADDRESS.fullmatch(address):
                return {"url": address}
            raise Refused(403, "neither a file that this browser uploaded nor a camera's image")
        path = self._visitors.file(visitor, value["path"])
        if path is None:
            raise Refused(403, "not a file that this browser uploaded")
        return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _paced(
    request: Request, limit: int, on_part: Callable[[bytes], None] = lambda part: None
) -> Request:
    """A request whose body may have at most ``limit`` bytes, and must come at a certain pace."""
    begin, received = time.monotonic(), 0
    receive = request.receive

    async def paced() -> Any:
        nonlocal received
        allowed = begin + PATIENCE_SECONDS + received / SLOWEST_BYTES
        try:
            message = await asyncio.wait_for(receive(), max(0.0, allowed - time.monotonic()))
        except asyncio.TimeoutError:
            raise Refused(408, "the request came too slowly") from None
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request was cut short")
        part = message.get("body", b"")
        received += len(part)
        if received > limit:
            raise Refused(413, f"the request exceeds {limit} bytes")
        on_part(part)
        return message

    return Request(request.scope, paced)


def _safe_name(name: str | None) -> str:
    """A file name without folders and without signs that mean something to a system."""
    plain = UNSAFE.sub("_", re.split(r"[/\\]", name or "")[-1]).strip(". ") or "file"
    path = Path(plain)
    return path.stem.encode()[:NAME_BYTES].decode(errors="ignore") + path.suffix[:10]


def _write(source: Any, path: Path) -> None:
    with path.open("wb") as stream:
        shutil.copyfileobj(source, stream, 1024 * 1024)
