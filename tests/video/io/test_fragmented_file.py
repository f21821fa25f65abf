"""The output file: full disks and truncated fragments."""

import errno
import os
from pathlib import Path

import pytest
from numbered_video import numbered_image, read_back

from detkit.errors import VideoError
from detkit.video.io.fragmented_file import FragmentedFile, truncate_to_last_fragment
from detkit.video.io.frame import Frame, VideoInfo
from detkit.video.io.writer import VideoWriter

FRAMES = 60


def fragmented(path: Path) -> list[int]:
    """Write a fragmented mp4 with PyAV; returns the end offset of each fragment."""
    import av

    ends = []
    with av.open(str(path), "w", format="mp4", options={
        "movflags": "frag_keyframe+empty_moov+default_base_moof",
    }) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 64, "yuv420p"
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(numbered_image(number), "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    offset = data.index(b"moof") - 4
    while offset < len(data):
        length = int.from_bytes(data[offset:offset + 4], "big")
        if data[offset + 4:offset + 8] == b"mdat":
            ends.append(offset + length)
        offset += length
    return ends


def test_truncated_file_plays_to_last_complete_fragment(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    ends = fragmented(path)
    data = path.read_bytes()
    assert len(ends) == FRAMES // 10
    for where in sorted({*range(ends[1] - 20, len(data), 331), *ends, ends[2] + 1, ends[3] - 1}):
        path.write_bytes(data[:where])
        truncate_to_last_fragment(path)
        assert path.stat().st_size == max(end for end in ends if end <= max(where, ends[0]))
        num_complete = sum(end <= where for end in ends)
        assert read_back(path)[0] == list(range(10 * num_complete))


@pytest.mark.parametrize("size", [0, 5, 30])
def test_file_without_fragments_becomes_empty_or_a_header(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.mp4"
    fragmented(path)
    path.write_bytes(path.read_bytes()[:size])
    truncate_to_last_fragment(path)
    assert path.stat().st_size in (0, 28)  # 'ftyp' of 28 bytes


def test_no_writes_after_failed_write(tmp_path: Path) -> None:
    full = FragmentedFile(Path("/dev/full"))
    for _ in range(2):
        with pytest.raises(OSError) as error_info:
            full.write(b"data")
        assert error_info.value.errno == errno.ENOSPC
    assert full.error is not None
    full.close()

    good = FragmentedFile(tmp_path / "a")
    good.write(b"12345")
    good.seek(1)
    good.write(b"x")
    assert good.tell() == 2 and good.error is None
    good.close()
    good.close()
    assert (tmp_path / "a").read_bytes() == b"1x345"


def test_full_disk_is_reported_once_and_writer_closes(tmp_path: Path) -> None:
    from fractions import Fraction

    path = tmp_path / "full.mp4"
    path.symlink_to("/dev/full")
    info = VideoInfo((64, 160), Fraction(1, 25), Fraction(25), None, Fraction(1), False)
    writer = VideoWriter(path, info)
    with pytest.raises(VideoError, match="full.mp4: cannot be written: got No space left"):
        for number in range(FRAMES):
            writer.add(Frame(number, numbered_image(number), number, 1))
        writer.close()
    writer.close()
    assert writer.count == 0


def test_unread_named_pipe_fails_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device or address"):
        FragmentedFile(tmp_path / "pipe")


def test_named_pipe_with_reader_gets_all_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    file = FragmentedFile(tmp_path / "pipe")
    file.write(b"line")
    file.close()
    assert os.read(reader, 100) == b"line"
    os.close(reader)
