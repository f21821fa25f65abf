"""A client of the page that speaks as a browser does, with a cookie and an open page of its own."""

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
    """One browser at a page's address, as (host, port)."""

    def __init__(self, address):
        self.address = address
        self.tab = secrets.token_hex(5)
        self.cookie = None
        response = self.ask("GET", "/")
        assert response.status == 200
        self.cookie = (response.headers["Set-Cookie"] or "").partition(";")[0]

    def ask(self, method, path, body=None, **headers):
        """The answer to one request, with its whole body as ``content``; ``_`` stands for '-'."""
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
        """The answer to an upload."""
        mark = secrets.token_hex(8)
        head = (f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n")
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        return self.ask("POST", "/gradio_api/upload", body,
                        Content_Type=f"multipart/form-data; boundary={mark}")

    def uploaded(self, name, content):
        """An uploaded file, as the page names it in requests."""
        path, = json.loads(self.upload(name, content).content)
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def join(self, function, *data, **headers):
        """The answer to a call of one of the page's functions."""
        call = {"data": data, "fn_index": function, "session_hash": self.tab}
        return self.ask("POST", "/gradio_api/queue/join", json.dumps(call),
                        Content_Type="application/json", **headers)

    def call(self, function, *data):
        """What a function of the page gives."""
        assert self.join(function, *data).status == 200
        told = self.ask("GET", f"/gradio_api/queue/data?session_hash={self.tab}").content
        for line in told.decode().splitlines():
            message = json.loads(line.removeprefix("data: ")) if line else {}
            if message.get("msg") == "process_completed":
                return message["output"]["data"]
        raise AssertionError(told)

    def file(self, path, **headers):
        """The answer to a request for a file."""
        return self.ask("GET", f"/gradio_api/file={quote(path)}", **headers)


@contextmanager
def connection(served, sent=b""):
    """A connection to a page or a browser's page, on which something is sent."""
    with socket.create_connection(served.address[:2], timeout=20) as open_one:
        open_one.sendall(sent)
        yield open_one


def request_of(browser, route, method="GET", more=""):
    """The head of a request to gradio's part of the page."""
    return (f"{method} /gradio_api/{route} HTTP/1.1\r\nHost: 127.0.0.1:{browser.address[1]}\r\n"
            f"Cookie: {browser.cookie}\r\n{more}\r\n").encode()


def read_until(connected, text):
    """What comes until ``text`` is in it, or the end."""
    told = b""
    while text not in told and (part := connected.recv(65536)):
        told += part
    return told


def png(image=IMAGE):
    """An image as the bytes of a file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def large_png(width, height):
    """A whole PNG of one bit a pixel, which takes three bytes a pixel decoded."""
    def chunk(kind, content):
        code = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", code)

    packer, row = zlib.compressobj(1), bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for row in itertools.repeat(row, height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
