"""Access control in front of gradio: only requests that the page itself makes are allowed.

Gradio's server has many other routes, accepts paths of files on this machine in requests, and
fetches URLs. Here each request must match one of `ROUTES`, be addressed to an allowed host, come
from the page itself, and refer only to files that its own browser uploaded. Uploads and downloads
are handled here.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
from collections.abc import AsyncIterator
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse

from detkit.app.call_validation import CallValidator
from detkit.app.hosts import AllowedHosts
from detkit.app.request_bodies import RequestBodyReader, RequestRejected
from detkit.app.visitors import SWEEP_SECONDS, Visitor, VisitorRegistry

# All requests of a browser that has the page open.
NAME = r"[A-Za-z0-9_.-]+"
ROUTES = tuple((method, re.compile(path), route) for method, path, route in (
    ("GET", r"/", "page"),
    ("GET", rf"/(?:assets|static)(?:/{NAME})+", "plain"),
    ("GET", r"/favicon\.ico|/theme\.css|/gradio_api/app_id", "plain"),
    ("GET", rf"/gradio_api/(?:heartbeat/(?P<tab>{NAME})|queue/data)", "stream"),
    ("POST", r"/gradio_api/(?:queue/join|cancel|stream/[0-9a-f]{32}(?:/close)?)", "call"),
    ("POST", r"/gradio_api/upload", "upload"),
    ("GET", r"/gradio_api/upload_progress", "progress"),
    ("GET", r"/gradio_api/file=(?P<file>.+)", "file"),
))
# The browser blocks requests to other hosts, and display in a frame.
CONTENT_POLICY = "; ".join((
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' data: blob:",
    "worker-src 'self' blob:",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
))
SECURITY_HEADERS = tuple((name.encode(), value.encode()) for name, value in (
    ("content-security-policy", CONTENT_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
))
# Types that a browser displays; others are downloaded.
INLINE_TYPES = re.compile(r"image/(?:avif|bmp|gif|jpeg|png|tiff|webp)|video/[a-z0-9.+-]+")
CALL_PATH = "/gradio_api/queue/join"
PROGRESS_SECONDS, PROGRESS_TIMEOUT_SECONDS = 0.05, 3.0


class AccessControlMiddleware:
    """An ASGI middleware.

    Args:
        app: gradio's app.
        hosts: the allowed hosts.
        visitors: the visitors and their files.
        max_upload: maximum size of an uploaded file, in bytes.
        cookie: the name of the cookie.
        calls: validates the calls of the page's functions.
    """

    def __init__(self, app: Any, hosts: AllowedHosts, visitors: VisitorRegistry, max_upload: int,
                 cookie: str, calls: CallValidator,
                 ) -> None:
        self._app = app
        self._hosts = hosts
        self._visitors = visitors
        self._bodies = RequestBodyReader(visitors, max_upload, calls)
        self._cookie = cookie

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a request; WebSockets, which the page does not use, are closed."""
        if scope["type"] == "lifespan":
            sweep_task = asyncio.create_task(self._sweep())
            try:
                await self._app(scope, receive, send)
            finally:
                sweep_task.cancel()
        elif scope["type"] == "http":
            await self._handle(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _handle(self, scope: Any, receive: Any, send: Any) -> None:
        cookies: list[tuple[bytes, bytes]] = []
        started = False

        async def send_with_policy(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                kept = [(name, value) for name, value in message.get("headers", [])
                        if not name.lower().startswith(b"access-control-")]
                message = {**message, "headers": [*kept, *SECURITY_HEADERS, *cookies]}
            await send(message)

        try:
            await self._route(Request(scope, receive), send_with_policy, cookies)
        except RequestRejected as rejection:
            if not started:
                # Gradio's page parses the response to a call as JSON, and shows its detail.
                content, response_type = ({"detail": rejection.text}, JSONResponse) \
                    if scope["path"] == CALL_PATH else (rejection.text, PlainTextResponse)
                response = response_type(content, rejection.status, {"connection": "close"})
                await response(scope, receive, send_with_policy)

    async def _route(self, request: Request, send: Any, cookies: list[Any]) -> None:
        host = request.headers.get("host", "")
        if not self._hosts.is_allowed(host):
            raise RequestRejected(
                421, f"this page is not served as '{host[:100]}'; open the URL that "
                "detkit serve printed, or start it with --allow-host HOST")
        route, match = _find_route(request)
        if not self._hosts.is_same_origin(request.headers, is_navigation=route == "page"):
            raise RequestRejected(403, "the request comes from another web page")
        visitor = self._visitors.get(self._token(request))
        scope, query = {**request.scope, "query_string": b""}, request.query_params
        if route == "page" and visitor is None:
            visitor = self._visitors.add_visitor()
            if visitor is None:
                raise RequestRejected(503, "too many visitors; try again later")
            value = f"{self._cookie}={visitor.token}; Path=/; HttpOnly; SameSite=Strict"
            cookies.append((b"set-cookie", value.encode()))
        if route in ("page", "plain"):
            await self._app(scope, request.receive, send)
            return
        if visitor is None:
            raise RequestRejected(403, "unknown browser; reload the page")
        if route == "stream":
            name = match["tab"] or query.get("session_hash", "")
            tab = self._visitors.tab(visitor, name)
            if tab is None:
                raise RequestRejected(403, "the page belongs to another browser; reload it")
            reads = int(match["tab"] is None)
            scope["query_string"] = f"session_hash={name}".encode()
            tab.unread = 0 if reads else tab.unread
            tab.readers += reads
            visitor.streams += 1
            try:
                await self._app(scope, request.receive, send)
            finally:
                tab.readers -= reads
                visitor.streams -= 1
                self._visitors.get(visitor.token)  # updates the time of its last request
        elif route == "call":
            body = await self._bodies.read_call(request, visitor)
            await self._app(*_replay_body(scope, request.receive, body), send)
        elif route == "upload":
            paths = await self._bodies.receive_file(request, visitor)
            await JSONResponse(paths)(request.scope, request.receive, send)
        elif route == "progress":
            events = _progress(visitor, query.get("upload_id", ""))
            response = StreamingResponse(events, media_type="text/event-stream")
            await response(request.scope, request.receive, send)
        else:
            path = self._visitors.file(visitor, match["file"])
            if path is None:
                raise RequestRejected(404, "no such file of this browser")
            media_type = mimetypes.guess_type(path.name)[0] or ""
            safe = INLINE_TYPES.fullmatch(media_type) is not None
            file = FileResponse(
                path, media_type=media_type if safe else "application/octet-stream",
                filename=path.name, content_disposition_type="inline" if safe else "attachment")
            await file(request.scope, request.receive, send)

    def _token(self, request: Request) -> str | None:
        try:
            morsel = SimpleCookie(request.headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return None
        return None if morsel is None else morsel.value

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await asyncio.to_thread(self._visitors.sweep)


def _find_route(request: Request) -> tuple[str, re.Match[str]]:
    path = request.scope["path"]
    for method, pattern, route in ROUTES:
        match = pattern.fullmatch(path)
        if match is not None and request.method == method and (route == "file" or ".." not in path):
            return route, match
    raise RequestRejected(404, "not part of this page")


def _replay_body(scope: Any, receive: Any, body: bytes) -> tuple[Any, Any]:
    """The scope and ``receive`` of a request, with ``body`` as its body."""
    kept = [(name, value) for name, value in scope["headers"]
            if name not in (b"content-length", b"content-type")]
    headers = [*kept, (b"content-length", str(len(body)).encode()),
               (b"content-type", b"application/json")]
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return parts.pop() if parts else await receive()

    return {**scope, "headers": headers}, replay


async def _progress(visitor: Visitor, upload_id: str) -> AsyncIterator[str]:
    """The progress events of an upload: the bytes received since the last event."""
    for _ in range(round(PROGRESS_TIMEOUT_SECONDS / PROGRESS_SECONDS)):
        if upload_id in visitor.uploads:
            break
        await asyncio.sleep(PROGRESS_SECONDS)
    upload, reported = visitor.uploads.get(upload_id), 0
    while upload is not None and not upload.done:
        if upload.received > reported:
            update = {"msg": "update", "orig_name": upload.name,
                      "chunk_size": upload.received - reported}
            reported = upload.received
            yield f"data: {json.dumps(update)}\n\n"
        await asyncio.sleep(PROGRESS_SECONDS)
    yield 'data: {"msg": "done"}\n\n'
