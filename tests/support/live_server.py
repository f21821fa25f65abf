"""A local HTTP server of live streams that continue, stall, end, or have invalid contents."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from numbered_video import numbered_image

NEVER = 30.0  # seconds; longer than any timeout in the tests


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    stopped: threading.Event
    transport_stream: bytes

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore closed connections."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        """/mjpeg?frames=N&rate=R&then=stall|end, /ts?part=0.5&then=..., /silent, /text."""
        path, _, query = self.path.partition("?")
        asked = dict(word.split("=") for word in query.split("&") if word)
        if path == "/silent":
            self._stall()
            return
        self.send_response(200)
        kind = {"/mjpeg": "multipart/x-mixed-replace; boundary=frame", "/ts": "video/mp2t"}
        self.send_header("Content-Type", kind.get(path, "text/plain"))
        self.end_headers()
        if path == "/mjpeg":
            self._send_pictures(int(asked["frames"]), float(asked.get("rate", 50)))
        elif path == "/ts":
            stream = self.server.transport_stream
            self.wfile.write(stream[:int(len(stream) * float(asked["part"]))])
        else:
            self.wfile.write(b"hello\n" * 100)
        if asked.get("then") == "stall":
            self._stall()

    def _send_pictures(self, count: int, rate: float) -> None:
        begin = time.perf_counter()
        for number in range(count):
            data = jpeg(number)
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                             % len(data) + data + b"\r\n")
            time.sleep(max(0.0, begin + (number + 1) / rate - time.perf_counter()))

    def _stall(self) -> None:
        self.server.stopped.wait(NEVER)


def jpeg(number: int) -> bytes:
    """A numbered image."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(numbered_image(number)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


@contextmanager
def serving(transport_stream: Path | None = None) -> Iterator[str]:
    """Run the server; yields its URL, such as 'http://127.0.0.1:4711'."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.stopped = threading.Event()
    server.transport_stream = b"" if transport_stream is None else transport_stream.read_bytes()
    threads = set(threading.enumerate())
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        for thread in set(threading.enumerate()) - threads:
            thread.join(10)
