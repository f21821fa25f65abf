"""Requests that the page of ``detkit serve`` rejects: for files, other visitors, other routes."""

import io
import json
import socket

import numpy as np
import pytest
from numbered_video import write_video
from page_browser import CAMERA, IMAGE, PREDICT, REFILTER, STOP, VIDEO, Browser, connection, png
from PIL import Image

from detkit.app import request_bodies


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(png())
    return path


def test_image_and_threshold_work(browser):
    drawn, results, _, status_html = browser.call(
        PREDICT, browser.uploaded("a b.png", png()), 0.0, [])
    assert "160 x 64 pixels" in status_html and "<tbody>" in results
    image = np.asarray(Image.open(io.BytesIO(browser.file(drawn["path"]).content)))
    assert image.shape == IMAGE.shape
    _, _, _, status_html = browser.call(REFILTER, None, 1.0, [])
    assert "0 objects detected" in status_html


def test_video_works_and_is_sent_in_ranges(browser, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 5).read_bytes()
    drawn, _, _, status_html = browser.call(VIDEO, browser.uploaded("clip.mp4", clip), 0.0, [])
    assert "5 frames in" in status_html
    path = drawn["video"]["path"] if "video" in drawn else drawn["path"]
    full, partial = browser.file(path), browser.file(path, Range="bytes=4-7")
    assert (partial.status, partial.content) == (206, b"ftyp") and full.content[4:8] == b"ftyp"
    assert partial.headers["Content-Type"] == "video/mp4"
    assert browser.call(STOP) == []


@pytest.mark.parametrize("function", [PREDICT, REFILTER, VIDEO, CAMERA])
@pytest.mark.parametrize("form", [
    {"path": "{}", "meta": {"_type": "gradio.FileData"}},
    {"path": "{}"},
    {"path": None, "url": "{}"},
    {"url": "file://{}"},
    {"url": "{}", "meta": {"_type": "gradio.FileData"}},
    {"path": "{folder}/../../secret/{}", "url": None},
], ids=["path", "bare-path", "url", "file-url", "url-as-upload", "climbing"])
def test_local_file_is_not_read(browser, served, secret, function, form):
    sent = {name: value.format(secret, folder=served.folder) if isinstance(value, str) else value
            for name, value in form.items()}
    assert browser.join(function, sent, 0.0, []).status == 403
    assert browser.join(function, [[{"deep": [sent]}]], 0.0, []).status == 403


def test_url_of_an_upload_is_ignored(browser, secret):
    own_file = browser.uploaded("own.png", png(IMAGE[:32]))
    _, _, _, status_html = browser.call(PREDICT, {**own_file, "url": str(secret)}, 0.0, [])
    assert "160 x 32 pixels" in status_html


def test_files_of_other_owners_are_not_served(browser, served, secret):
    linked = served.folder / "link.png"
    linked.symlink_to(secret)
    (served.folder / "plain.png").write_bytes(png())
    own_file = browser.uploaded("own.png", png())["path"]
    assert browser.file(own_file).status == 200
    for path in (str(secret), str(linked), str(served.folder / "plain.png"), "/etc/passwd",
                 f"{own_file}/../../link.png", f"{served.folder}/../../../../etc/passwd",
                 "https://example.org/x", "HTTP://127.0.0.1/x", "a\0b", str(served.folder)):
        assert browser.file(path).status == 404


def test_calls_are_limited_while_results_stay_unread(browser):
    statuses = [browser.join(STOP).status for _ in range(request_bodies.MAX_UNREAD_RESULTS + 1)]
    assert statuses == [200] * request_bodies.MAX_UNREAD_RESULTS + [429]


def test_browsers_cannot_access_each_others_files(served, browser):
    other_browser = Browser(served.address)
    own_file = browser.uploaded("own.png", png())
    drawn = browser.call(PREDICT, own_file, 0.0, [])[0]["path"]
    for path in (own_file["path"], drawn):
        assert browser.file(path).status == 200 and other_browser.file(path).status == 404
    assert other_browser.join(PREDICT, own_file, 0.0, []).status == 403
    other_browser.tab = browser.tab
    assert other_browser.join(REFILTER, None, 0.0, []).status == 403
    assert other_browser.ask("GET",
                             f"/gradio_api/queue/data?session_hash={browser.tab}").status == 403
    assert other_browser.ask("GET", f"/gradio_api/heartbeat/{browser.tab}").status == 403


@pytest.mark.parametrize("method, path", [
    ("GET", "/gradio_api/deep_link?session_hash=a"), ("GET", "/gradio_api/info"),
    ("GET", "/config"), ("GET", "/config/"), ("GET", "/gradio_api/openapi.json"),
    ("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/redoc"), ("GET", "/gradio_api/mcp/sse"),
    ("POST", "/gradio_api/run/predict"), ("POST", "/gradio_api/api/predict"),
    ("POST", "/gradio_api/call/predict"), ("POST", "/gradio_api/call/v2/predict"),
    ("POST", "/gradio_api/component_server"), ("POST", "/gradio_api/reset"),
    ("POST", "/gradio_api/process_recording"), ("POST", "/login"),
    ("GET", "/gradio_api/proxy=http://127.0.0.1:1/"), ("GET", "/gradio_api/queue/status"),
    ("GET", "/gradio_api/file/etc/passwd"), ("GET", "/file=/etc/passwd"),
    ("GET", "/gradio_api/stream/a/1/2/playlist.m3u8"), ("GET", "/gradio_api/startup-events"),
    ("GET", "/gradio_api/user"), ("GET", "/gradio_api/token"), ("GET", "/monitoring"),
    ("GET", "/gradio_api/custom_component/a/client/b/c"), ("GET", "/manifest.json"),
    ("GET", "/pwa_icon"), ("GET", "/gradio_api/runs"), ("GET", "/gradio_api/vibe-code"),
    ("GET", "/static/../config"), ("GET", "/assets/%2e%2e/%2e%2e/config"), ("HEAD", "/"),
    ("OPTIONS", "/gradio_api/queue/join"), ("PUT", "/gradio_api/upload"), ("GET", "/robots.txt"),
    ("GET", "/gradio_api/upload"), ("POST", "/"), ("GET", "//config"),
])
def test_unused_routes_are_404(browser, method, path):
    assert browser.ask(method, path).status == 404


def test_requests_without_cookie_are_rejected(browser):
    path = browser.uploaded("own.png", png())["path"]
    for browser.cookie in (None, f"{browser.cookie.partition('=')[0]}=guess"):
        assert browser.upload("own.png", png()).status == 403
        assert browser.join(REFILTER, None, 0.0, []).status == 403
        assert browser.file(path).status == 403
        assert browser.ask("GET", "/gradio_api/heartbeat/abc").status == 403


def test_cookie_is_http_only_and_same_site(served):
    response = Browser(served.address).ask("GET", "/", Cookie="none=1")
    port = served.address[1]
    assert response.headers["Set-Cookie"].startswith(f"detkit_{port}=")
    assert response.headers["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "127.0.0.1:1", "127.0.0.1",
                                  "localhost.evil.example:{}", "127.0.0.1:{}.evil.example", ""])
def test_foreign_host_header_is_rejected(browser, host):
    host = host.format(browser.address[1])
    for method, path in (("GET", "/"), ("GET", "/theme.css"), ("POST", "/gradio_api/upload")):
        assert browser.ask(method, path, Host=host).status == 421


def test_names_of_loopback_are_allowed(browser):
    port = browser.address[1]
    for name in ("127.0.0.1", "localhost", "LocalHost", "[::1]"):
        assert browser.ask("GET", "/", Host=f"{name}:{port}").status == 200


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
    {"Origin": "file://127.0.0.1:{}"}, {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Origin": "http://127.0.0.1:{}", "Sec_Fetch_Site": "cross-site"},
], ids=str)
def test_cross_origin_request_is_rejected(browser, headers):
    headers = {name: value.format(browser.address[1]) for name, value in headers.items()}
    assert browser.join(REFILTER, None, 0.0, [], **headers).status == 403
    path = browser.uploaded("own.png", png())["path"]
    for expected in ("/", "/theme.css", f"/gradio_api/heartbeat/{browser.tab}",
                     f"/gradio_api/file={path}"):
        assert browser.ask("GET", expected, **headers).status == 403


def test_cross_site_link_opens_only_the_page(browser):
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate",
            "Sec_Fetch_Dest": "document"}
    assert browser.ask("GET", "/", **link).status == 200
    assert browser.ask("GET", "/", **{**link, "Sec_Fetch_Dest": "iframe"}).status == 403
    path = browser.uploaded("own.png", png())["path"]
    assert browser.ask("GET", f"/gradio_api/file={path}", **link).status == 403


def test_every_response_has_security_headers_and_no_cors(browser):
    origin = f"http://127.0.0.1:{browser.address[1]}"
    for path in ("/", "/theme.css", "/config", "/gradio_api/file=/etc/passwd"):
        headers = browser.ask("GET", path, Origin=origin).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_uploaded_html_is_downloaded_not_displayed(browser):
    for name in ("a.html", "a.svg", "a.xml", "a"):
        response = browser.file(browser.uploaded(name, b"<script>alert(1)</script>")["path"])
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("name", ["../../x.png", "..", "/etc/x.png", "a\\..\\x.png", "", "x" * 300,
                                  ".bashrc", "a\nb", "%2e%2e%2fx"])
def test_uploaded_file_stays_in_folder(browser, served, name):
    response = browser.upload(name, b"hello")
    if response.status != 200:  # not a file name for the form parser
        assert response.status == 400
        return
    path, = json.loads(response.content)
    inside = path.removeprefix(f"{served.folder}/")
    assert inside.count("/") == 1 and not inside.partition("/")[2].startswith(".")
    assert browser.file(path).content == b"hello"


def test_long_multibyte_name_is_accepted(browser):
    """Names may have 255 bytes, and each of these characters has three."""
    path = browser.uploaded("漢" * 200 + ".png", png())["path"]
    assert path.endswith("漢" * 66 + ".png") and browser.file(path).status == 200


def test_urls_in_requests_are_not_fetched(browser):
    with socket.socket() as listen_socket:
        listen_socket.bind(("127.0.0.1", 0))
        listen_socket.listen()
        listen_socket.settimeout(0.3)
        address = f"http://127.0.0.1:{listen_socket.getsockname()[1]}/a.png"
        for sent in ({"path": address, "meta": {"_type": "gradio.FileData"}},
                     {"path": address, "url": address}, {"url": address}, {"path": f"//{address}"}):
            for function in (PREDICT, VIDEO, CAMERA):
                assert browser.join(function, sent, 0.0, []).status == 403
        assert browser.file(address).status == 404
        assert browser.ask("GET", f"/gradio_api/proxy={address}").status == 404
        with pytest.raises(TimeoutError):
            listen_socket.accept()


def test_websocket_is_not_opened(served):
    head = (f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{served.address[1]}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    with connection(served, head.encode()) as connected:
        assert not connected.recv(100).startswith(b"HTTP/1.1 101")
