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

from detkit.app.call_validation import CallValidator
from detkit.app.visitors import Tab, Upload, Visitor, VisitorRegistry

MAX_CALL_BYTES = 6 * 1024 * 1024  # of a request; a camera's JPEG of 4 megapixels takes less
MAX_PENDING_CALL_BYTES = 64 * 1024 * 1024  # of the requests that are being received at one time
MAX_UNREAD_RESULTS = 30  # calls of a page that does not read what they give
MAX_CONCURRENT_UPLOADS = 4  # that are received at one time
FORM_OVERHEAD_BYTES = 64 * 1024  # that a form adds to its file
BODY_TIMEOUT_SECONDS, MIN_BYTES_PER_SECOND = 30, 16 * 1024  # a body: this long, and longer by its bytes
MAX_JSON_DEPTH = 20  # of lists and objects in one another
MAX_JSON_BRACKETS = 1000  # that open a list or an object; the page sends about ten
IMAGE_DATA_URL = re.compile(r"data:image/(?:jpeg|png|webp);base64,[A-Za-z0-9+/]*={0,2}")
CALL_FIELDS = ("data", "event_id", "fn_index", "session_hash", "trigger_id")
FILE_NAME_PATTERN = re.compile(rb'filename="([^"]*)"')
UNSAFE_CHARS = re.compile(r"[^\w. ()+-]")
MAX_UPLOAD_ID_LENGTH = 100
MAX_STEM_BYTES = 200  # of a file name without its suffix; systems take 255


class RequestRejected(Exception):
    """A request that is answered with a status and a line of text alone."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RequestBodyReader:
    """Reads the bodies of requests, so many at a time.

    Args:
        visitors: whose files may stand in requests, and who gets those that are uploaded.
        max_upload: bytes of a file.
        calls: what may be called.
    """

    def __init__(self, visitors: VisitorRegistry, max_upload: int, calls: CallValidator) -> None:
        self._visitors = visitors
        self._calls = calls
        self._max_upload = max_upload
        self._calls_bytes = 0
        self._uploads = 0

    async def read_call(self, request: Request, visitor: Visitor) -> bytes:
        """The body of a call of a function, as gradio may see it: files of this visitor alone.

        Raises:
            RequestRejected: it is too large or slow, no JSON, names a file that is not the
                visitor's, or is none that the page itself makes.
        """
        length = request.headers.get("content-length", "0")
        size = int(length) if length.isdigit() and len(length) < 12 else MAX_CALL_BYTES + 1
        if "transfer-encoding" in request.headers or size > MAX_CALL_BYTES:
            raise RequestRejected(
                413, f"got {length} bytes, expected at most {MAX_CALL_BYTES}, told ahead")
        if self._calls_bytes + size > MAX_PENDING_CALL_BYTES:
            raise RequestRejected(503, "the server is busy; try again")
        self._calls_bytes += size
        try:
            body = b"".join([chunk async for chunk in _with_deadline(request, size).stream()])
        finally:
            self._calls_bytes -= size
        # A million of them would hold the server up for seconds.
        if body.count(b"[") + body.count(b"{") > MAX_JSON_BRACKETS:
            raise RequestRejected(400, f"more than {MAX_JSON_BRACKETS} lists and objects")
        try:
            call = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            raise RequestRejected(400, "not JSON") from None
        if not isinstance(call, dict):
            raise RequestRejected(400, "expected a JSON object")
        if call:
            self._count(self._visitors.tab(visitor, call.get("session_hash")))
        kept = self._checked({name: call[name] for name in CALL_FIELDS if name in call}, visitor)
        error = self._calls.find_error(kept, "/stream/" in request.scope["path"]) if kept else None
        if error is not None:
            raise RequestRejected(400, error)
        return json.dumps(kept).encode()

    def _count(self, tab: Tab | None) -> None:
        """What a tab does not read is kept in memory for it: it may not call on for ever."""
        if tab is None:
            raise RequestRejected(403, "the page belongs to another browser; reload it")
        if not tab.readers:
            tab.unread += 1
            if tab.unread > MAX_UNREAD_RESULTS:
                raise RequestRejected(429, f"{MAX_UNREAD_RESULTS} results are not read")

    async def receive_file(self, request: Request, visitor: Visitor) -> list[str]:
        """Take one uploaded file; gives its path, as gradio's page expects it.

        Raises:
            RequestRejected: it is too large or slow, or others are being received.
        """
        if self._uploads >= MAX_CONCURRENT_UPLOADS or len(
                visitor.uploads) >= MAX_CONCURRENT_UPLOADS:
            raise RequestRejected(503,
                                  f"{MAX_CONCURRENT_UPLOADS} files are being received; try again")
        upload_id = request.query_params.get("upload_id", "")[:MAX_UPLOAD_ID_LENGTH]
        upload = visitor.uploads.setdefault(upload_id, Upload())
        self._uploads += 1

        def count(chunk: bytes) -> None:
            if not upload.received:
                name = FILE_NAME_PATTERN.search(chunk)
                upload.name = name.group(1).decode(errors="replace") if name else ""
            upload.received += len(chunk)

        try:
            timed_receive = _with_deadline(request, self._max_upload + FORM_OVERHEAD_BYTES, count)
            async with timed_receive.form(max_files=1, max_fields=0) as form:
                sent = form.get("files")
                if not isinstance(sent, UploadFile):
                    raise RequestRejected(400, "expected a form with one file")
                if (sent.size or 0) > self._max_upload:
                    raise RequestRejected(413, f"the file exceeds {self._max_upload} bytes")
                path = self._visitors.new_folder() / _safe_name(sent.filename)
                await asyncio.to_thread(_write, sent.file, path)
                self._visitors.add_file(visitor.token, path)
                return [str(path)]
        except (HTTPException, MultiPartException, ValueError):  # the last of its form's reader
            raise RequestRejected(400, "expected a form with one file") from None
        except OSError as error:
            raise RequestRejected(507, f"the file cannot be stored: {error.strerror}") from None
        finally:
            upload.done = True
            self._uploads -= 1
            visitor.uploads.pop(upload_id, None)

    def _checked(self, value: Any, visitor: Visitor, depth: int = 0) -> Any:
        """``value`` with each object that stands for a file made anew of what was checked."""
        if depth > MAX_JSON_DEPTH:
            raise RequestRejected(400,
                                  f"more than {MAX_JSON_DEPTH} lists and objects in one another")
        if isinstance(value, list):
            return [self._checked(item, visitor, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        if not {"path", "url"} & value.keys():
            return {name: self._checked(item, visitor, depth + 1) for name, item in value.items()}
        address = value.get("url")
        if value.get("path") is None:
            if isinstance(address, str) and IMAGE_DATA_URL.fullmatch(address):
                return {"url": address}
            raise RequestRejected(403,
                                  "neither a file that this browser uploaded nor a camera's image")
        path = self._visitors.file(visitor, value["path"])
        if path is None:
            raise RequestRejected(403, "not a file that this browser uploaded")
        return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _with_deadline(
    request: Request, limit: int, on_chunk: Callable[[bytes], None] = lambda chunk: None
) -> Request:
    """A request whose body may have at most ``limit`` bytes, and must come at a certain pace."""
    begin, received = time.monotonic(), 0
    receive = request.receive

    async def timed_receive() -> Any:
        nonlocal received
        allowed = begin + BODY_TIMEOUT_SECONDS + received / MIN_BYTES_PER_SECOND
        try:
            message = await asyncio.wait_for(receive(), max(0.0, allowed - time.monotonic()))
        except asyncio.TimeoutError:
            raise RequestRejected(408, "the request came too slowly") from None
        if message["type"] == "http.disconnect":
            raise RequestRejected(400, "the request was cut short")
        chunk = message.get("body", b"")
        received += len(chunk)
        if received > limit:
            raise RequestRejected(413, f"the request exceeds {limit} bytes")
        on_chunk(chunk)
        return message

    return Request(request.scope, timed_receive)


def _safe_name(name: str | None) -> str:
    """A file name without folders and without signs that mean something to a system."""
    safe_name = UNSAFE_CHARS.sub("_", re.split(r"[/\\]", name or "")[-1]).strip(". ") or "file"
    path = Path(safe_name)
    return path.stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore") + path.suffix[:10]


def _write(source: Any, path: Path) -> None:
    with path.open("wb") as stream:
        shutil.copyfileobj(source, stream, 1024 * 1024)
