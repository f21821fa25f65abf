"""Network streams that work, stall, end or fail, from local servers."""

import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from live_server import serving
from numbered_video import number_in, read_back, write_video

from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.io.live_reader import CAMERA_OPTIONS, LiveReader, open_camera
from detkit.video.io.source import open_source
from detkit.video.pipeline import run_video


def no_detections(images: list[np.ndarray]) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout of one second instead of four."""
    monkeypatch.setattr("detkit.video.io.live_reader.STALL_SECONDS", 1.0)


def test_transport_stream_keeps_its_timestamps(tmp_path: Path) -> None:
    stream = write_video(tmp_path / "a.ts", 60)
    with serving(stream) as address:
        source = open_source(f"{address}/ts?part=1")
        frames = list(source)
        source.close()
    assert source.live
    assert [number_in(frame.image) for frame in frames] == list(range(60))
    assert [frame.pts * source.info.time_base for frame in frames] == [
        Fraction(n, 25) for n in range(60)]


def test_frames_without_timestamps_get_arrival_times() -> None:
    with serving() as address:
        source = open_source(f"{address}/mjpeg?frames=40&rate=40")
        frames = list(source)
        source.close()
    numbers = [number_in(frame.image) for frame in frames]
    # The last image of such a stream ends only where the next begins.
    assert numbers == list(range(len(numbers))) and len(numbers) >= 39
    times = [float(frame.pts * source.info.time_base) for frame in frames]
    assert times[0] == 0 and times == sorted(set(times))
    assert 0.5 < times[-1] < 10  # sent over one second; a fixed rate of 25 would give 1.56


@pytest.mark.parametrize("path, done", [
    ("mjpeg?frames=20&then=stall", 19), ("ts?part=0.5&then=stall", 20),
], ids=["mjpeg", "transport-stream"])
def test_stalled_stream_fails_and_keeps_its_frames(
    tmp_path: Path, impatient: None, path: str, done: int
) -> None:
    with serving(write_video(tmp_path / "a.ts", 60)) as address:
        with pytest.raises(VideoError,
                           match=r"no frame received for 1 s.*out.partial.mp4") as error_info:
            run_video(no_detections, f"{address}/{path}", tmp_path / "out.mp4", None, live=False)
    assert "\n" not in str(error_info.value) and address in str(error_info.value)
    numbers = read_back(tmp_path / "out.partial.mp4")[0]
    # At the end of a truncated stream some reference frames are missing (x264: 3 B-frames).
    assert numbers == sorted(numbers) and len(numbers) >= done
    assert numbers[:-4] == list(range(len(numbers) - 4))
    assert f"the {len(numbers)} frames that were done" in str(error_info.value)


@pytest.mark.slow
def test_stall_is_reported_within_five_seconds(tmp_path: Path) -> None:
    with serving() as address:
        last = 0.0

        def predict(images: list[np.ndarray]) -> list[Detections]:
            nonlocal last
            last = time.perf_counter()
            return no_detections(images)

        with pytest.raises(VideoError, match="no frame received for 4 s"):
            run_video(predict, f"{address}/mjpeg?frames=20&then=stall", tmp_path / "o.mp4", None)
        assert 3 < time.perf_counter() - last < 5


@pytest.mark.parametrize("path, message", [
    ("silent", "no response for 1 s"),
    ("ts?part=0&then=stall", "no response for 1 s"),
    ("text", "not a video|cannot be opened"),
    ("mjpeg?frames=0", "cannot be opened|no frame|not a video"),
], ids=["silent", "header-only", "text", "empty"])
def test_url_without_frames_is_reported_in_one_line(
    impatient: None, path: str, message: str
) -> None:
    with serving() as address:
        with pytest.raises(VideoError, match=message) as error_info:
            open_source(f"{address}/{path}")
    assert "\n" not in str(error_info.value) and address in str(error_info.value)


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:9/stream", "http://127.0.0.1:9/stream"])
def test_unreachable_url_is_reported_with_cause(address: str) -> None:
    with pytest.raises(VideoError, match=f"{address}: cannot be opened: got Connection refused"):
        open_source(address)


def test_stream_ended_by_server_is_complete(tmp_path: Path) -> None:
    with serving() as address:
        report = run_video(no_detections, f"{address}/mjpeg?frames=30", tmp_path / "out.mp4", None,
                           live=False)
    assert report.frames_out >= 29
    assert len(read_back(tmp_path / "out.mp4")[0]) == report.frames_out


def test_live_source_does_not_accumulate_packet_timestamps(tmp_path: Path) -> None:
    stream = write_video(tmp_path / "a.ts", 60)
    with serving(stream) as address:
        source = open_source(f"{address}/ts?part=1")
        assert len(list(source)) == 60
        assert source._decoder.lost_frames._pts_before_first_frame is None
        source.close()


def test_recording_at_a_url_is_not_live(tmp_path: Path) -> None:
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    write_video(tmp_path / "clip.mp4", 50)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        source = open_source(f"http://127.0.0.1:{server.server_address[1]}/clip.mp4")
        assert not source.live
        assert [number_in(frame.image) for frame in source] == list(range(50))
        source.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_device_gives_frames_like_a_camera() -> None:
    """FFmpeg's source of test images, opened like a camera."""
    source = LiveReader("testsrc=size=160x64:rate=25:duration=1", CAMERA_OPTIONS, "lavfi",
                        "camera 0")
    frames = list(source)
    source.close()
    assert source.live and source.ended and source.name == "camera 0"
    assert len(frames) == source.count == 25 and source.info.size_hw == (64, 160)
    assert [frame.pts * source.info.time_base for frame in frames] == [
        Fraction(n, 25) for n in range(25)]


def test_missing_camera_is_reported() -> None:
    with pytest.raises(VideoError, match="camera 97: "):
        open_camera(97)


@pytest.mark.parametrize("text, message", [
    ("ftp://host/clip.mp4", "got 'ftp', expected one of rtsp"),
    ("nothing.mp4", "nothing.mp4: no such file"),
    ("97", "camera 97"),
], ids=["scheme", "file", "camera"])
def test_invalid_source_is_reported(text: str, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        open_source(text)


def test_fps_for_a_file_is_rejected(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", 3)
    with pytest.raises(VideoError, match="has its own timestamps.*leave --fps out"):
        open_source(clip, Fraction(25))


@pytest.mark.parametrize("suffix, codec", [
    ("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("avi", "mpeg4"),
    ("flv", "libx264"),
])
def test_truncated_download_fails_and_keeps_received_frames(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    data = write_video(tmp_path / f"clip.{suffix}", 200, size_hw=(240, 320), codec=codec,
                       options={"movflags": "faststart"} if suffix == "mp4" else None).read_bytes()

    class CutShort(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data if "full" in self.path else data[:len(data) * 7 // 10])

    server = ThreadingHTTPServer(("127.0.0.1", 0), CutShort)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        full = run_video(no_detections, f"{address}/full.{suffix}", tmp_path / "full.mp4", None,
                         live=False)
        with pytest.raises(
                VideoError, match=f"{address}/cut.{suffix}: ended early, after .*"
                f"expected {len(data)} bytes.*out.partial") as error_info:
            run_video(no_detections, f"{address}/cut.{suffix}", tmp_path / "out.mp4", None,
                      live=False)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert full.frames_out == 200
    count = len(read_back(tmp_path / "out.partial.mp4")[0])
    assert 50 < count < 190 and f"the {count} frames that were done" in str(error_info.value)
