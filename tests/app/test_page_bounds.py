"""Limits of the page of ``detkit serve``: bodies, pixels, files, connections, timeouts."""

import base64
import errno
import resource
import threading
import time

import numpy as np
import pytest
from numbered_video import write_video
from page_browser import (
    CAMERA,
    PREDICT,
    REFILTER,
    Browser,
    connection,
    large_png,
    png,
    read_until,
    request_of,
)
from page_server import MAX_UPLOAD_MB

from detkit.app import http_protocol as protocol
from detkit.app import request_bodies, visitors
from detkit.app.demo_model import DemoModel
from detkit.app.image_tab import decode_data_url
from detkit.app.server import MB
from detkit.errors import DataError


@pytest.mark.parametrize("side", [13_000, 20_000], ids=["507 MB", "1.2 GB"])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb_is_rejected_by_its_header(browser, side):
    bomb = large_png(side, side)
    assert len(bomb) < 400_000
    address = "data:image/png;base64," + base64.b64encode(bomb).decode()
    upload = browser.uploaded("bomb.png", bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes
    with pytest.raises(DataError, match="too many pixels"):
        decode_data_url(address)
    _, _, _, status_html = browser.call(PREDICT, upload, 0.0, [])
    assert "bomb.png: " in status_html and "too many pixels" in status_html
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_camera_image_is_sent_as_data_url(browser):
    address = "data:image/png;base64," + base64.b64encode(png()).decode()
    assert browser.join(CAMERA, {"url": address}, 0.0, [], None).status == 200
    request = request_of(browser, f"queue/data?session_hash={browser.tab}")
    with connection(browser, request) as stream:
        assert b"data:image/jpeg;base64," in read_until(stream, b"data:image/jpeg")


def test_annotated_video_ends_at_its_size_limit(browser, served, tmp_path):
    from detkit.app.video_tab import predict_video

    clip = write_video(tmp_path / "clip.mp4", 400)
    model = DemoModel(_SlowEmptyDetector(), "")
    output = predict_video(model, str(clip), tmp_path, 0.5, [], threading.Event(), max_bytes=2000)
    assert "the annotated video is too large" in output.status


class _SlowEmptyDetector:
    """A slow detector without detections."""

    task, classes, score_threshold, num_streams = "detection", ("a",), 0.5, 1

    def __call__(self, image):
        from detkit.structures.detections import Detections

        time.sleep(0.01)
        return Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), image.shape[:2])


def test_oversized_body_is_rejected(browser, monkeypatch):
    monkeypatch.setattr(request_bodies, "MAX_CALL_BYTES", 1000)
    assert browser.join(REFILTER, None, 0.0, ["x" * 1000]).status == 413
    chunked = request_of(browser, "queue/join", "POST", "Transfer-Encoding: chunked\r\n")
    with connection(browser, chunked) as connected:
        assert connected.recv(100).startswith(b"HTTP/1.1 413")
    assert browser.upload("a.bin", bytes(MAX_UPLOAD_MB * MB)).status == 200
    assert browser.upload("a.bin", bytes(MAX_UPLOAD_MB * MB + 1)).status == 413
    monkeypatch.setattr(request_bodies, "MAX_PENDING_CALL_BYTES", 10)
    assert browser.join(REFILTER, None, 0.0, []).status == 503


@pytest.mark.parametrize("body", [
    b"[]", b"{", b"1", b"[" * 100_000, b"\xff",
    b'{"session_hash": "a", "data": ' + b"[" * 30 + b"]" * 30 + b"}",
    b'{"session_hash": "a", "data": [' + b"{}," * 1_900_000 + b"{}]}",
], ids=["list", "cut", "number", "nested", "no-text", "deep", "many"])
def test_body_without_call_is_400_at_once(browser, body):
    before = time.process_time()  # includes the server, a thread here
    assert browser.ask("POST", "/gradio_api/queue/join", body).status == 400
    assert time.process_time() - before < 1


def test_full_disk_is_reported(browser, monkeypatch):
    def fail(source, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(request_bodies, "_write", fail)
    response = browser.upload("a.bin", b"x")
    assert (response.status, response.content) == (
        507, b"the file cannot be stored: No space left on device")


def test_form_without_exactly_one_file_is_400(browser):
    parts = ('Content-Disposition: form-data; name="a"\r\n\r\n',
             'Content-Disposition: form-data; name="files"; filename="a"\r\n\r\n')
    for chosen in (parts[:1], parts[1:] * 2, ()):
        body = "".join(f"--m\r\n{part}x\r\n" for part in chosen) + "--m--\r\n"
        response = browser.ask("POST", "/gradio_api/upload", body,
                               Content_Type="multipart/form-data; boundary=m")
        assert response.status == 400
    for kind in ("text/plain", "multipart/form-data", "multipart/form-data; boundary=m"):
        assert browser.ask("POST", "/gradio_api/upload", b"x", Content_Type=kind).status == 400


def ended(connected):
    """Whether the server closes a connection; data before that is ignored."""
    try:
        while connected.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True  # a hang is an error after the timeout of the connection


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: "])
def test_stalled_connection_is_closed(served, monkeypatch, sent):
    monkeypatch.setattr(protocol, "HEADER_TIMEOUT_SECONDS", 0.3)
    with connection(served, sent) as half:
        for _ in range(4):  # more bytes do not extend the timeout
            time.sleep(0.1)
            try:
                half.send(b"x" if sent else b"")
            except OSError:
                return
        assert ended(half)


def test_incomplete_second_request_is_closed(served, browser, monkeypatch):
    monkeypatch.setattr(protocol, "HEADER_TIMEOUT_SECONDS", 0.3)
    with connection(served) as connected:
        host = f"127.0.0.1:{served.address[1]}"
        connected.sendall(f"GET /theme.css HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert connected.recv(100).startswith(b"HTTP/1.1 200")
        connected.sendall(b"GET /")
        assert ended(connected)


@pytest.mark.parametrize("path", ["queue/join", "upload"])
def test_slow_body_is_408(served, browser, monkeypatch, path):
    monkeypatch.setattr(request_bodies, "BODY_TIMEOUT_SECONDS", 0.3)
    head = request_of(browser, path, "POST", "Content-Length: 5000\r\n"
                      "Content-Type: multipart/form-data; boundary=m\r\n")
    with connection(browser, head + b"--m\r\n") as slow:
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        assert ended(slow)


def test_connections_above_limit_are_closed(served, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 0)
    with connection(served) as connected:
        assert ended(connected)
    monkeypatch.undo()
    assert Browser(served.address)


def test_files_of_closed_browser_are_removed(served, browser, monkeypatch):
    token = browser.cookie.partition("=")[2]
    own_file = browser.uploaded("own.png", png())
    browser.call(PREDICT, own_file, 0.0, [])
    monkeypatch.setattr(visitors, "IDLE_SECONDS", 0.0)
    with connection(served, request_of(browser, f"heartbeat/{browser.tab}")) as stream:
        assert b"ALIVE" in read_until(stream, b"ALIVE")
        served.visitors.sweep()
        assert browser.file(own_file["path"]).status == 200
        assert served.result_cache.get(browser.tab) is not None
    visitor = served.visitors.get(token)
    until = time.monotonic() + 20
    while visitor.streams and time.monotonic() < until:
        time.sleep(0.02)
    assert visitor.streams == 0
    time.sleep(0.01)
    served.visitors.sweep()
    assert browser.file(own_file["path"]).status == 404 and not any(served.folder.rglob("own.png"))
    assert served.result_cache.get(browser.tab) is None
