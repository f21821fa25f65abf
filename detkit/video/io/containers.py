"""Where videos are opened: with the formats, protocols and frame sizes that each may use.

FFmpeg finds a file's format out by its content, and some formats name other files or addresses:
playlists (hls, concat, sdp, dash), subtitle indexes, scripts. Of a local file only formats that
hold their own data are opened, and no other file; of an address nothing on this machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detkit.errors import MissingExtraError, VideoError
from detkit.files import special_file_type

# The largest frame of any level of H.264 (6.2: 139,264 macroblocks), HEVC (6.2) and AV1 (6.3).
MAX_FRAME_PIXELS = 35_651_584

# FFmpeg's demuxers that read the opened file and nothing else.
FILE_FORMATS = (
    "apng", "asf", "av1", "avi", "avs2", "avs3", "cavsvideo", "dhav", "dirac", "dv", "evc",
    "flic", "flv", "gif", "h261", "h263", "h264", "hevc", "hxvs", "ivf", "kux", "m4v",
    "matroska", "mjpeg", "mjpeg_2000", "mov", "mpeg", "mpegts", "mpegvideo", "mxf", "nut",
    "obu", "ogg", "pva", "rm", "smjpeg", "ty", "vc1", "vvc", "wtv", "yuv4mpegpipe",
)
FILE_PROTOCOLS = ("file",)
# What a camera or a server sends beside; 'image2pipe' and the pipes are rows of JPEG or PNG.
STREAM_FORMATS = (*FILE_FORMATS, "image2pipe", "jpeg_pipe", "live_flv", "mpjpeg", "png_pipe",
                  "rtp", "rtsp")
PLAYLIST_FORMATS = ("hls", "dash")
STREAM_PROTOCOLS = ("rtsp", "rtp", "srtp", "rtmp", "rtmps", "rtmpt", "rtmpts", "ffrtmphttp",
                    "srt", "udp", "tcp", "tls", "http", "https", "httpproxy", "crypto")
HTTP_PROTOCOLS = ("http", "https", "httpproxy", "tcp", "tls", "crypto", "data")
COMMON_FORMATS = "mp4, mov, mkv, webm, avi, ts, mpeg, flv, wmv, ogv, gif, ..."


def open_file(path: Path, name: str, max_pixels: int = MAX_FRAME_PIXELS) -> Any:
    """Open a video file; nothing beside it is opened, whatever it names.

    Args:
        path: a regular file.
        name: what messages call it.
        max_pixels: a decoder refuses frames of more pixels.

    Returns:
        PyAV's input container.

    Raises:
        VideoError: no regular file, or not of a format that is read.
        MissingExtraError: PyAV is not installed.
    """
    av = load_av()
    file_type = special_file_type(path)
    if file_type is not None:
        raise VideoError(f"{name}: is {file_type}, not a video file", expected="a regular file",
                         hint=_special_file_hint(path))
    if not path.exists():
        raise VideoError(f"{name}: no such file")
    if not path.is_file():
        raise VideoError(f"{name}: not a file", expected="a video file")
    try:
        # The prefix keeps FFmpeg from taking a name such as 'concat:a' for an address.
        return _open(f"file:{path}", FILE_FORMATS, FILE_PROTOCOLS, max_pixels)
    except av.error.ArgumentError as error:
        raise VideoError(
            f"{name}: not a video in a format that is read, or damaged", expected=COMMON_FORMATS,
            hint="playlists and other files that name files are not followed; for images there is "
            "'detkit predict'",
        ) from error
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        raise VideoError(
            f"{name}: cannot be opened as a video", got=error_reason(error),
            expected="a video file, whole",
        ) from error


def open_url(
    url: str, options: dict[str, str], timeout: float, max_pixels: int = MAX_FRAME_PIXELS
) -> Any:
    """Open a stream; playlists of an http address may name other hosts, and no local file.

    Args:
        url: 'http://...', 'rtsp://...' and the like.
        options: FFmpeg's.
        timeout: for opening and for each packet, in seconds.
        max_pixels: a decoder refuses frames of more pixels.

    Raises:
        av.error.FFmpegError: it cannot be opened.
        MissingExtraError: PyAV is not installed.
    """
    if url.lower().startswith(("http://", "https://")):
        return _open(url, (*STREAM_FORMATS, *PLAYLIST_FORMATS), HTTP_PROTOCOLS, max_pixels,
                     options, timeout=timeout)
    return _open(url, STREAM_FORMATS, STREAM_PROTOCOLS, max_pixels, options, timeout=timeout)


def open_device(
    url: str, device_format: str, options: dict[str, str], timeout: float,
    max_pixels: int = MAX_FRAME_PIXELS,
) -> Any:
    """Open a camera by FFmpeg's input device ``device_format``; as `open_url`."""
    return _open(url, (device_format,), (), max_pixels, options, format=device_format,
                 timeout=timeout)


def create_container(file: Any, format_name: str, options: dict[str, str]) -> Any:
    """A container that is written through ``file``, an object with ``write`` and ``seek``."""
    return load_av().open(file, "w", format=format_name, options=options)


def load_av() -> Any:
    """PyAV.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    return av


def decoder_limit(max_pixels: int) -> str:
    """FFmpeg's option for frames of up to ``max_pixels``.

    Decoders count the rows and columns that they add for alignment, up to 63 each, so theirs is
    twice the limit; who takes frames from them holds the limit itself.
    """
    return str(min(2 * max_pixels, 2**62))


def error_reason(error: BaseException) -> str:
    """What FFmpeg or the system says of the error."""
    return str(getattr(error, "strerror", None) or error)


def _open(
    url: str, formats: tuple[str, ...], protocols: tuple[str, ...], max_pixels: int,
    options: dict[str, str] | None = None, **kwargs: Any,
) -> Any:
    return load_av().open(
        # Tags in another encoding than UTF-8 say nothing about the pictures.
        url, metadata_errors="replace", options={
            **(options or {}),
            "format_whitelist": ",".join(formats),
            "protocol_whitelist": ",".join(protocols),
            "enable_drefs": "0",  # of QuickTime: tracks in other files
            "use_absolute_path": "0",
            "max_pixels": decoder_limit(max_pixels),
        }, **kwargs,
    )


def _special_file_hint(path: Path) -> str | None:
    camera_index = path.name[len("video"):]
    if path.parent == Path("/dev") and path.name.startswith("video") and camera_index.isdigit():
        return f"a camera is named by its number alone: {camera_index}"
    return None
