"""A client that sends the requests of a browser, with its own cookie and open page."""

import http.client
import io
import itertools
import json
import secrets
import socket
import struct
import zlib
from contextlib import contextmanager
from urllib.parse import quote

import numpy as np
from numbered_video import numbered_image
from PIL import Image

IMAGE = np.asarray(numbered_image(5))
PREDICT, REFILTER, VIDEO, STOP, CAMERA = range(5)  # the page's functions, in the order of its code


class Browser:
    """A browser that has the page at ``address``, (host, port), open."""

    def __init__(self, address):
        self.address = address
        self.tab = secrets.token_hex(5)
        self.cookie = None
        response = self.ask("GET", "/")
        assert response.status == 200
        self.cookie = (response.headers["Set-Cookie"] or "").partition(";")[0]

    def ask(self, method, path, body=None, **headers):
        """The response to a request, with its body as ``content``; ``_`` in headers means '-'."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.content = response.read()
        connection.close()
        return response

    def upload(self, name, content):
        """The response to an upload."""
        mark = secrets.token_hex(8)
        head = (f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n")
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        return self.ask("POST", "/gradio_api/upload", body,
                        Content_Type=f"multipart/form-data; boundary={mark}")

    def uploaded(self, name, content):
        """Upload a file; returns it as the page refers to it in requests."""
        path, = json.loads(self.upload(name, content).content)
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def join(self, function, *data, **headers):
        """The response to a call of a function of the page."""
        call = {"data": data, "fn_index": function, "session_hash": self.tab}
        return self.ask("POST", "/gradio_api/queue/join", json.dumps(call),
                        Content_Type="application/json", **headers)

    def call(self, function, *data):
        """The outputs of a function of the page."""
        assert self.join(function, *data).status == 200
        events = self.ask("GET", f"/gradio_api/queue/data?session_hash={self.tab}").content
        for line in events.decode().splitlines():
            message = json.loads(line.removeprefix("data: ")) if line else {}
            if message.get("msg") == "process_completed":
                return message["output"]["data"]
        raise AssertionError(events)

    def file(self, path, **headers):
        """The response to a request for a file."""
        return self.ask("GET", f"/gradio_api/file={quote(path)}", **headers)


@contextmanager
def connection(served, sent=b""):
    """A connection to the page on which ``sent`` is sent."""
    with socket.create_connection(served.address[:2], timeout=20) as open_socket:
        open_socket.sendall(sent)
        yield open_socket


def request_of(browser, route, method="GET", more=""):
    """The headers of a request to gradio."""
    return (f"{method} /gradio_api/{route} HTTP/1.1\r\nHost: 127.0.0.1:{browser.address[1]}\r\n"
            f"Cookie: {browser.cookie}\r\n{more}\r\n").encode()


def read_until(connected, text):
    """Receive data until it contains ``text``, or to the end."""
    received = b""
    while text not in received and (chunk := connected.recv(65536)):
        received += chunk
    return received


def png(image=IMAGE):
    """An image as the bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def large_png(width, height):
    """A PNG with one bit per pixel, which takes three bytes per pixel when decoded."""
    def chunk(kind, content):
        code = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", code)

    packer, row = zlib.compressobj(1), bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for row in itertools.repeat(row, height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
