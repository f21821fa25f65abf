"""The server under the page: its port, what it lets through, and its end."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.errors import DetkitError

if TYPE_CHECKING:
    import uvicorn

    from detkit.app.hosts import AllowedHosts
    from detkit.app.visitors import VisitorRegistry

SHUTDOWN_SECONDS = 1
FONTS = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]
MB = 1024 * 1024
MAX_STORED_FILES = 10  # files of the largest size, of all visitors together, are kept on disk
MAX_OUTPUT_PER_UPLOAD = 4  # a drawn video has at most so many times the largest file's bytes
MAX_QUEUED = 40  # looks that wait for their turn; a further one is refused
KEEP_ALIVE_SECONDS = 15


def open_port(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free.

    Raises:
        DetkitError: the port is taken or not allowed, or the host is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listen_socket = socket.socket(family, kind, protocol)
    except OSError as error:
        raise DetkitError(
            f"--host {host}: no such host", got=error.strerror,
            hint="use 127.0.0.1, or 0.0.0.0 for all that reach this machine") from error
    try:
        if os.name == "posix":  # elsewhere it would share a port that is taken
            listen_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listen_socket.bind(address)
        listen_socket.listen(128)
    except OSError as error:
        listen_socket.close()
        if error.errno == errno.EADDRINUSE:
            raise DetkitError(f"--port {port}: another program listens there",
                              hint="name another, or --port auto for one that is free") from error
        if error.errno == errno.EACCES:
            raise DetkitError(f"--port {port}: not allowed to this user",
                              expected="a port from 1024 up") from error
        raise DetkitError(
            f"--host {host}: this machine cannot listen there", got=error.strerror,
            hint="use 127.0.0.1, or 0.0.0.0 for all that reach this machine") from error
    return listen_socket


def server_url(listen_socket: socket.socket) -> str:
    """Where a browser on this machine finds the page."""
    host, port = listen_socket.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def cookie_name(listen_socket: socket.socket) -> str:
    """The name of the page's cookie; browsers give one port's cookies to all ports of a host."""
    return f"detkit_{listen_socket.getsockname()[1]}"


@contextmanager
def offline_gradio(folder: Path) -> Iterator[None]:
    """Keep gradio from calling home, and have it keep its files in ``folder``; before its import.

    What the environment held before stands there again afterwards.
    """
    variables = {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_RUN_HISTORY": "False",
        "GRADIO_MCP_SERVER": "False",
        "GRADIO_SSR_MODE": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }
    previous = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def page_server(
    blocks: Any,
    listen_socket: socket.socket,
    hosts: AllowedHosts,
    visitors: VisitorRegistry,
    max_upload_mb: int,
    on_start: Callable[[], None],
    on_end: Callable[[], None],
) -> uvicorn.Server:
    """A server of gradio's ``blocks``; its ``run`` ends with Ctrl-C or SIGTERM.

    Args:
        blocks: the page.
        listen_socket: where; it is closed at the end.
        hosts: the hosts that are answered.
        visitors: who they are, and what they own.
        max_upload_mb: larger files are refused.
        on_start: called as soon as the page answers.
        on_end: called when the end begins, before those who still wait are sent away.
    """
    import fastapi
    import gradio
    import uvicorn

    from detkit.app.access_control import AccessControlMiddleware
    from detkit.app.call_validation import CallValidator
    from detkit.app.protocol import PageProtocol
    from detkit.app.style import HEAD, STYLE

    blocks.queue(max_size=MAX_QUEUED)
    app = gradio.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None), blocks, path="",
        footer_links=[], run_history=False, ssr_mode=False, mcp_server=False, pwa=False,
        show_error=True, max_file_size=max_upload_mb * MB, css=STYLE, head=HEAD,
        theme=gradio.themes.Default(primary_hue="indigo", neutral_hue="slate", font=FONTS,
                                    font_mono=["ui-monospace", "monospace"]),
    )

    class PageServer(uvicorn.Server):
        """Uvicorn's server, whose Ctrl-C is a regular end."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                on_start()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            on_end()
            # Streams that a browser holds open are cut, and need not be told of.
            logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
            await super().shutdown(sockets)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield  # signals reach the main thread alone
                return
            kinds = (signal.SIGINT, signal.SIGTERM)
            previous = {kind: signal.signal(kind, self.handle_exit) for kind in kinds}
            try:
                yield
            finally:
                for kind, handler in previous.items():
                    signal.signal(kind, handler)

    config = uvicorn.Config(
        AccessControlMiddleware(app, hosts, visitors, max_upload_mb * MB,
                                cookie_name(listen_socket), CallValidator(blocks)),
        # uvicorn's own log_config would close every log file that this process has open.
        http=PageProtocol,
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return PageServer(config)
