"""Reads the bodies of requests: limits their size and rate, and checks their contents."""

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

MAX_CALL_BYTES = 6 * 1024 * 1024  # of a request; more than a camera JPEG of 4 megapixels
MAX_PENDING_CALL_BYTES = 64 * 1024 * 1024  # of all requests that are being received
MAX_UNREAD_RESULTS = 30  # calls of a page that does not read their results
MAX_CONCURRENT_UPLOADS = 4
FORM_OVERHEAD_BYTES = 64 * 1024  # of a form in addition to its file
# A body must arrive within 30 s plus the time of its bytes at this rate.
BODY_TIMEOUT_SECONDS, MIN_BYTES_PER_SECOND = 30, 16 * 1024
MAX_JSON_DEPTH = 20  # of nested lists and objects
MAX_JSON_BRACKETS = 1000  # number of lists and objects; the page sends about ten
IMAGE_DATA_URL = re.compile(r"data:image/(?:jpeg|png|webp);base64,[A-Za-z0-9+/]*={0,2}")
CALL_FIELDS = ("data", "event_id", "fn_index", "session_hash", "trigger_id")
FILE_NAME_PATTERN = re.compile(rb'filename="([^"]*)"')
UNSAFE_CHARS = re.compile(r"[^\w. ()+-]")
MAX_UPLOAD_ID_LENGTH = 100
MAX_STEM_BYTES = 200  # of a file name without its suffix; systems allow 255


class RequestRejected(Exception):
    """A request is rejected with a status code and a line of text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RequestBodyReader:
    """Reads the bodies of requests, with a limit of concurrent ones.

    Args:
        visitors: the owners of files.
        max_upload: maximum size of a file, in bytes.
        calls: validates the calls.
    """

    def __init__(self, visitors: VisitorRegistry, max_upload: int, calls: CallValidator) -> None:
        self._visitors = visitors
        self._calls = calls
        self._max_upload = max_upload
        self._calls_bytes = 0
        self._uploads = 0

    async def read_call(self, request: Request, visitor: Visitor) -> bytes:
        """The checked body of a function call, to be passed to gradio.

        Raises:
            RequestRejected: it is too large or slow, not JSON, refers to a file of another
                visitor, or is not a call of the page.
        """
        length = request.headers.get("content-length", "0")
        size = int(length) if length.isdigit() and len(length) < 12 else MAX_CALL_BYTES + 1
        if "transfer-encoding" in request.headers or size > MAX_CALL_BYTES:
            raise RequestRejected(
                413, f"content-length: got {length}, expected at most {MAX_CALL_BYTES}")
        if self._calls_bytes + size > MAX_PENDING_CALL_BYTES:
            raise RequestRejected(503, "the server is busy; try again")
        self._calls_bytes += size
        try:
            body = b"".join([chunk async for chunk in _with_deadline(request, size).stream()])
        finally:
            self._calls_bytes -= size
        # Parsing a million of them would block the server for seconds.
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
        """Count the unread results of a tab, which stay in memory, and reject too many."""
        if tab is None:
            raise RequestRejected(403, "the page belongs to another browser; reload it")
        if not tab.readers:
            tab.unread += 1
            if tab.unread > MAX_UNREAD_RESULTS:
                raise RequestRejected(429, f"{MAX_UNREAD_RESULTS} results are unread")

    async def receive_file(self, request: Request, visitor: Visitor) -> list[str]:
        """Store an uploaded file; returns its path in a list, as gradio's page expects it.

        Raises:
            RequestRejected: it is too large or slow, or there are too many other uploads.
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
        except (HTTPException, MultiPartException, ValueError):  # ValueError from the form parser
            raise RequestRejected(400, "expected a form with one file") from None
        except OSError as error:
            raise RequestRejected(507, f"the file cannot be stored: {error.strerror}") from None
        finally:
            upload.done = True
            self._uploads -= 1
            visitor.uploads.pop(upload_id, None)

    def _checked(self, value: Any, visitor: Visitor, depth: int = 0) -> Any:
        """``value`` with each object of a file replaced by one with checked contents only."""
        if depth > MAX_JSON_DEPTH:
            raise RequestRejected(400, f"more than {MAX_JSON_DEPTH} nested lists and objects")
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
                                  "neither a file uploaded by this browser nor a camera image")
        path = self._visitors.file(visitor, value["path"])
        if path is None:
            raise RequestRejected(403, "not a file uploaded by this browser")
        return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _with_deadline(
    request: Request, limit: int, on_chunk: Callable[[bytes], None] = lambda chunk: None
) -> Request:
    """A request whose body is limited to ``limit`` bytes and must arrive in time."""
    begin, received = time.monotonic(), 0
    receive = request.receive

    async def timed_receive() -> Any:
        nonlocal received
        allowed = begin + BODY_TIMEOUT_SECONDS + received / MIN_BYTES_PER_SECOND
        try:
            message = await asyncio.wait_for(receive(), max(0.0, allowed - time.monotonic()))
        except asyncio.TimeoutError:
            raise RequestRejected(408, "the request is too slow") from None
        if message["type"] == "http.disconnect":
            raise RequestRejected(400, "the request is incomplete")
        chunk = message.get("body", b"")
        received += len(chunk)
        if received > limit:
            raise RequestRejected(413, f"the request exceeds {limit} bytes")
        on_chunk(chunk)
        return message

    return Request(request.scope, timed_receive)


def _safe_name(name: str | None) -> str:
    """A file name without folders and special characters."""
    safe_name = UNSAFE_CHARS.sub("_", re.split(r"[/\\]", name or "")[-1]).strip(". ") or "file"
    path = Path(safe_name)
    return path.stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore") + path.suffix[:10]


def _write(source: Any, path: Path) -> None:
    with path.open("wb") as stream:
        shutil.copyfileobj(source, stream, 1024 * 1024)
