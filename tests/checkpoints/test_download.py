"""Downloads of weights: cached by URL, complete, and with the hash of their name."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from detkit.checkpoints import download as module
from detkit.checkpoints.download import download
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.checkpoints.published.find_published import PublishedWeights, fetch, locate
from detkit.errors import WeightsError


def _weights(value: float) -> bytes:
    stream = io.BytesIO()
    torch.save({"a": torch.full((3,), value)}, stream)
    return stream.getvalue()


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, dict[str, bytes], list[str]]]:
    """A URL, the content by path, and the requested paths."""
    content: dict[str, bytes] = {}
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            requests.append(self.path)
            body = content.get(self.path)
            self.send_response(404 if body is None else 200)
            body = body or b""
            cut = self.path.startswith("/cut/")
            self.send_header("Content-Length", str(len(body) * 2 if cut else len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}", content, requests
    served.shutdown()
    thread.join()
    served.server_close()


Server = tuple[str, dict[str, bytes], list[str]]


def _cached_files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "home" / "hub" / "checkpoints"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_same_file_name_at_two_urls_gives_two_cache_files(server: Server) -> None:
    address, content, requests = server
    content["/one/swin.pth"], content["/other/swin.pth"] = _weights(1), _weights(2)
    for _ in range(2):
        assert load_checkpoint(f"{address}/one/swin.pth")["a"].tolist() == [1, 1, 1]
        assert load_checkpoint(f"{address}/other/swin.pth")["a"].tolist() == [2, 2, 2]
    assert requests == ["/one/swin.pth", "/other/swin.pth"]  # each once


def test_truncated_download_leaves_no_file(server: Server, tmp_path: Path) -> None:
    address, content, _ = server
    content["/cut/swin.pth"] = _weights(1)
    half = len(content["/cut/swin.pth"])
    with pytest.raises(WeightsError, match=f"{half:,} of {2 * half:,} bytes"):
        download(f"{address}/cut/swin.pth")
    with pytest.raises(WeightsError, match="404"):
        download(f"{address}/none.pth")
    assert _cached_files(tmp_path) == []


def test_download_with_wrong_hash_is_rejected(server: Server, tmp_path: Path) -> None:
    address, content, _ = server
    body = _weights(1)
    digits = hashlib.sha256(body).hexdigest()[:8]
    content[f"/swin-{digits}.pth"] = content["/swin-00000000.pth"] = body
    content["/swin-20240131.pth"] = body  # a date, not a hash
    with pytest.raises(WeightsError, match=f"begins with {digits}, but its name contains 00000000"):
        download(f"{address}/swin-00000000.pth")
    assert _cached_files(tmp_path) == []
    for name in (digits, "20240131"):
        assert download(f"{address}/swin-{name}.pth").read_bytes() == body


def test_torch_hub_file_is_used_only_with_the_right_hash(
    server: Server, tmp_path: Path
) -> None:
    address, content, requests = server
    body = _weights(1)
    name = f"swin-{hashlib.sha256(body).hexdigest()[:8]}.pth"
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(body)
    assert download(f"{address}/{name}") == folder / name and not requests
    (folder / name).write_bytes(_weights(2))
    content[f"/{name}"] = body
    assert download(f"{address}/{name}").read_bytes() == body
    (folder / "swin.pth").write_bytes(_weights(2))
    with pytest.raises(WeightsError, match="hub/checkpoints/swin.pth is that file"):
        download(f"{address}/swin.pth")


def test_endless_download_is_stopped(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, content, _ = server
    content["/swin.pth"] = _weights(1)
    monkeypatch.setattr(module, "_MAX_BYTES", 100)
    with pytest.raises(WeightsError, match="limit of 100"):
        download(f"{address}/swin.pth")
    assert _cached_files(tmp_path) == []


def test_published_weights_are_downloaded_once_and_checked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DETKIT_WEIGHTS", raising=False)
    address, content, requests = server
    content["/net.pth"] = _weights(1)
    digest = hashlib.sha256(content["/net.pth"]).hexdigest()
    weights = PublishedWeights("net.test", "EfficientNet", "b0", source=f"{address}/net.pth",
                               layout="timm", license="MIT", reference="here", sha256=digest)
    assert locate(weights) is None
    file = fetch(weights)
    assert fetch(weights) == locate(weights) == file
    assert requests == ["/net.pth"]
    file.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="not the published file"):
        fetch(weights)
