"""Only regular files in self-contained formats are opened, and no files that they refer to."""

import ast
import os
import socket
import struct
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from numbered_video import number_in, write_video

from detkit.errors import VideoError
from detkit.video.io.reader import VideoReader
from detkit.video.io.source import open_source

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile {}\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n" \
      "a=rtpmap:96 H264/90000\n"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A video that must not be opened."""
    return write_video(tmp_path / "private.ts", 12)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The URL of a server for ``tmp_path``."""
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat", "list.mp4", "list.txt"])
@pytest.mark.parametrize("text", [HLS, CONCAT, SDP], ids=["hls", "concat", "sdp"])
def test_local_playlist_is_rejected_under_any_name(
    tmp_path: Path, private: Path, name: str, text: str
) -> None:
    playlist = tmp_path / name
    playlist.write_text(text.format(private.name))
    message = f"{name}: (not a video in a supported format|cannot be opened as a video)"
    with pytest.raises(VideoError, match=message) as error_info:
        VideoReader(playlist)
    assert "\n" not in str(error_info.value)


@pytest.mark.parametrize("name", ["concat:private.ts", "subfile,,start,0,end,0,,:private.ts",
                                  "frame%03d.ts", "a:b.ts", "file:private.ts"])
def test_file_name_is_not_parsed_as_url(
    tmp_path: Path, private: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a URL, the name would open the private file."""
    import av

    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match="no such file"):
        VideoReader(name)
    with av.open(str(private)) as old, av.open("own.ts", "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in list(old.demux(video=0))[:8]:
            packet.stream = stream
            new.mux(packet)
    os.rename("own.ts", name)
    reader = VideoReader(name)
    frames = list(reader)
    reader.close()
    assert 1 < len(frames) < 12 and number_in(frames[0].image) == 0


def test_remote_playlist_is_read(tmp_path: Path, private: Path, site: str) -> None:
    (tmp_path / "list.m3u8").write_text(HLS.format(private.name))
    source = open_source(f"{site}/list.m3u8")
    assert [number_in(frame.image) for frame in source] == list(range(12))
    source.close()


@pytest.mark.parametrize("text", [HLS.format("file://{}"), HLS.format("{}"),
                                  CONCAT.format("file:{}"), CONCAT.format("{}")],
                         ids=["hls-url", "hls-path", "concat-url", "concat-path"])
def test_remote_playlist_opens_no_local_file(
    tmp_path: Path, site: str, text: str
) -> None:
    elsewhere = tmp_path.with_name(tmp_path.name + "-not-served")
    elsewhere.mkdir()
    (tmp_path / "list.m3u8").write_text(text.format(write_video(elsewhere / "private.ts", 12)))
    with pytest.raises(VideoError, match="list.m3u8") as error_info:
        open_source(f"{site}/list.m3u8")
    assert "\n" not in str(error_info.value)


def test_remote_concat_list_is_rejected(
    tmp_path: Path, private: Path, site: str
) -> None:
    (tmp_path / "list.ffconcat").write_text(CONCAT.format(private.name))
    with pytest.raises(VideoError, match="list.ffconcat: cannot be opened"):
        open_source(f"{site}/list.ffconcat")


@pytest.mark.parametrize("make, kind", [
    (lambda path: os.mkfifo(path), "a named pipe"),
    (lambda path: path.symlink_to("/dev/zero"), "a device"),
    (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "a socket"),
], ids=["pipe", "device", "socket"])
@pytest.mark.parametrize("location", ["file", "folder"])
def test_special_files_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make, kind: str, location: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    special = Path("frame.png" if location == "folder" else "clip.mp4")
    make(special)
    with pytest.raises(VideoError, match=f"{special}: is {kind}"):
        open_source(special if location == "file" else tmp_path)


def test_tag_with_invalid_utf8_is_ignored(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "title-to-change"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert b"title-to-change" in data
    path.write_bytes(data.replace(b"title-to-change", b"\xfc\xe4\xf6-to-change\xff\xff"))
    assert len(list(VideoReader(path))) == 1


def test_videos_are_opened_only_in_containers(repository: Path) -> None:
    """'av.open' without the mode "w" is used in containers.py only."""
    paths = set()
    for path in (repository / "detkit").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "av" in text and ".open(" in text else ():
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "open"):
                continue
            owner = ast.unparse(node.func.value)
            writes = len(node.args) > 1 and ast.unparse(node.args[1]) == "'w'"
            if owner in ("av", "self._av", "load_av()", "av.container") and not writes:
                paths.add(path.relative_to(repository).as_posix())
    assert paths == {"detkit/video/io/containers.py"}


def test_external_media_reference_is_not_followed(tmp_path: Path) -> None:
    """Data references of QuickTime, which FFmpeg follows if it is allowed to."""
    import av

    private = write_video(tmp_path / "private.mp4", 12)
    naming = tmp_path / "naming.mov"
    naming.write_bytes(_with_media_in(private, private.read_bytes()))
    with av.open(str(naming), options={"enable_drefs": "1"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
    with pytest.raises(VideoError, match="no frame can be decoded"):
        VideoReader(naming)


def _with_media_in(other: Path, content: bytes) -> bytes:
    """The boxes of an mp4 without its media data, and with an alias of the file that has it."""
    made, at = b"", 0
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at:at + 8])
        inside, at = content[at + 8:at + size], at + size
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            inside = _with_media_in(other, inside)
        elif kind == b"dref":
            inside = struct.pack(">II", 0, 1) + _alias(os.fsencode(other))
        elif kind == b"mdat":
            continue
        made += struct.pack(">I4s", len(inside) + 8, kind) + inside
    return made


def _alias(path: bytes) -> bytes:
    """A Macintosh alias record, as FFmpeg's mov_read_dref reads it."""
    name = os.path.basename(path)
    record = bytes(4 + 10) + b"\1V" + bytes(26 + 12)  # volume
    record += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 1, 1)
    record += bytes(16)
    for kind in (2, 18):  # the path, in the old and in the new form
        record += struct.pack(">hH", kind, len(path)) + path + bytes(len(path) % 2)
    record += struct.pack(">hH", -1, 0)
    return struct.pack(">I4s", len(record) + 8, b"alis") + record
