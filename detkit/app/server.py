"""The server of the page: its port, its settings, and its shutdown."""

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
MAX_STORED_FILES = 10  # limit of all files on disk, in files of the maximum upload size
MAX_OUTPUT_PER_UPLOAD = 4  # maximum size of an annotated video, in maximum upload sizes
MAX_QUEUED = 40  # calls in the queue; more are rejected
KEEP_ALIVE_SECONDS = 15


def open_port(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 for any free port.

    Raises:
        DetkitError: the port is in use or not permitted, or the host is not an address of this
            machine.
    """
    try:
        family, socket_type, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listen_socket = socket.socket(family, socket_type, protocol)
    except OSError as error:
        raise DetkitError(
            f"--host {host}: no such host", got=error.strerror,
            hint="use 127.0.0.1, or 0.0.0.0 for access from other machines") from error
    try:
        if os.name == "posix":  # on other systems it would share a port in use
            listen_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listen_socket.bind(address)
        listen_socket.listen(128)
    except OSError as error:
        listen_socket.close()
        if error.errno == errno.EADDRINUSE:
            raise DetkitError(f"--port {port}: in use by another program",
                              hint="choose another, or --port auto for a free one") from error
        if error.errno == errno.EACCES:
            raise DetkitError(f"--port {port}: not permitted for this user",
                              expected="a port of at least 1024") from error
        raise DetkitError(
            f"--host {host}: this machine cannot listen on it", got=error.strerror,
            hint="use 127.0.0.1, or 0.0.0.0 for access from other machines") from error
    return listen_socket


def server_url(listen_socket: socket.socket) -> str:
    """The URL of the page for a browser on this machine."""
    host, port = listen_socket.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def cookie_name(listen_socket: socket.socket) -> str:
    """The name of the cookie; it has the port, since all ports of a host share their cookies."""
    return f"detkit_{listen_socket.getsockname()[1]}"


@contextmanager
def offline_gradio(folder: Path) -> Iterator[None]:
    """Disable gradio's network access, and set its file folder; to be used before its import.

    The environment variables are restored afterwards.
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
    """A server for gradio's ``blocks``; its ``run`` ends with Ctrl-C or SIGTERM.

    Args:
        blocks: the page.
        listen_socket: the socket; closed at the end.
        hosts: the allowed hosts.
        visitors: the visitors and their files.
        max_upload_mb: maximum size of an uploaded file, in MB.
        on_start: called as soon as the page is available.
        on_end: called when the shutdown starts, before waiting requests are aborted.
    """
    import fastapi
    import gradio
    import uvicorn

    from detkit.app.access_control import AccessControlMiddleware
    from detkit.app.call_validation import CallValidator
    from detkit.app.http_protocol import PageProtocol
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
        """Uvicorn's server, for which Ctrl-C is a regular end."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                on_start()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            on_end()
            # Open streams are closed, which needs no log message.
            logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
            await super().shutdown(sockets)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield  # signals are handled in the main thread only
                return
            signals = (signal.SIGINT, signal.SIGTERM)
            previous = {number: signal.signal(number, self.handle_exit) for number in signals}
            try:
                yield
            finally:
                for number, handler in previous.items():
                    signal.signal(number, handler)

    config = uvicorn.Config(
        AccessControlMiddleware(app, hosts, visitors, max_upload_mb * MB,
                                cookie_name(listen_socket), CallValidator(blocks)),
        # The default log_config of uvicorn would close all log files of this process.
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
