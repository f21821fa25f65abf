"""``detkit serve``: messages before the page is available, and the shutdown of the server."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from thumbnail_checkpoint import save_thumbnail

from detkit.app.server import open_port, server_url
from detkit.cli.main import build_parser, main
from detkit.errors import DetkitError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


def listener(host: str = "127.0.0.1") -> socket.socket:
    listen_socket = socket.socket()
    listen_socket.bind((host, 0))
    listen_socket.listen()
    return listen_socket


def test_port_in_use_is_one_line_with_hint(checkpoint, capsys):
    with listener() as listen_socket:
        port = listen_socket.getsockname()[1]
        assert main(["serve", str(checkpoint), "--port", str(port)]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"error: --port {port}: in use by another program; "
                              "choose another, or --port auto for a free one\n")


@pytest.mark.parametrize("words, message", [
    (["{tmp}/no.pth"], "no.pth: no such file"),
    (["{ckpt}", "--host", "no.such.host.invalid"], "--host no.such.host.invalid: no such host"),
    (["{ckpt}", "--host", "192.0.2.1"], "--host 192.0.2.1: this machine cannot listen on it"),
    (["{ckpt}", "--port", "65536"], "got 65536, expected a port from 0 to 65535, or auto"),
    (["{ckpt}", "--port", "http"], "got http, expected a port from 0 to 65535, or auto"),
    (["{ckpt}", "--max-upload", "0"], "got 0, expected an integer, at least 1"),
    (["{ckpt}", "--allow-host", "http://a.b/"], "got http://a.b/, expected a host"),
    (["{ckpt}", "--threshold", "2"], "got 2, expected a number from 0 to 1"),
    (["{ckpt}", "--engine", "caffe"], "got 'caffe', expected one of openvino"),
    (["{ckpt}", "--size", "0x320"], "got '0x320', expected HxW"),
    (["{ckpt}", "--port", "auto", "--engine", "mmdet", "--size", "320"],
     "leave --size"),
    (["{tmp}", "--port", "auto", "--engine", "mmdet"], "is an exported folder"),
], ids=["no-checkpoint", "no-host", "other-host", "port", "port-word", "upload", "host",
        "threshold", "engine", "size", "mmdet-size", "mmdet-folder"])
def test_bad_arguments_exit_2_with_one_line(checkpoint, tmp_path, capsys, words, message):
    assert main(["serve", *(word.format(ckpt=checkpoint, tmp=tmp_path) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err.splitlines()[-1] and "error: " in err.splitlines()[-1]


@pytest.mark.parametrize("library, extra", [("gradio", "demo"), ("av", "video")])
def test_missing_library_names_its_extra(
    checkpoint, capsys, monkeypatch, library, extra
):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    assert main(["serve", str(checkpoint), "--port", "auto"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"'{library}'" in last and f"detkit[{extra}]" in last


def test_listens_on_loopback_by_default(checkpoint):
    args = build_parser("serve", "serve").parse_args([str(checkpoint), "--port", "auto"])
    assert (args.host, args.port) == ("127.0.0.1", 0)
    with open_port(args.host, args.port) as listen_socket:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server_url(listen_socket))
    with open_port("0.0.0.0", 0) as listen_socket:
        assert server_url(listen_socket).startswith("http://127.0.0.1:")


def test_url_of_ipv6_host_has_brackets():
    try:
        listen_socket = open_port("::1", 0)
    except DetkitError:
        pytest.skip("this machine has no IPv6")
    with listen_socket:
        assert re.fullmatch(r"http://\[::1\]:\d+", server_url(listen_socket))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_shutdown_is_clean_and_leaves_no_files(checkpoint, repository, tmp_path, kind):
    child = subprocess.Popen(
        [sys.executable, "tools/serve.py", str(checkpoint), "--port", "auto", "--device", "cpu",
         "--engine", "mmdet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert child.stdout is not None
    address = child.stdout.readline().strip()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(address) as page:
        assert page.status == 200
    # A stream that stays open, as that of a browser.
    with browser.open(f"{address}/gradio_api/heartbeat/abc") as stream:
        assert stream.status == 200 and any(tmp_path.iterdir())
        child.send_signal(kind)
        out, err = child.communicate(timeout=60)  # only a hang takes longer
    assert (child.returncode, out) == (0, "")
    assert err == "press Ctrl-C to stop\nstopped; uploaded files are removed\n"
    assert not list(tmp_path.iterdir())
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)
