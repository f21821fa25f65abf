"""Opens videos with a whitelist of formats and protocols and a limit of the frame size.

FFmpeg detects the format of a file from its content, and some formats refer to other files or
URLs: playlists (hls, concat, sdp, dash), subtitle indexes, scripts. For a local file, only
self-contained formats are allowed; a URL cannot refer to local files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detkit.errors import MissingExtraError, VideoError
from detkit.files import special_file_type

# The largest frame of any level of H.264 (6.2: 139,264 macroblocks), HEVC (6.2) and AV1 (6.3).
MAX_FRAME_PIXELS = 35_651_584

# Demuxers of FFmpeg that read no other file.
FILE_FORMATS = (
    "apng", "asf", "av1", "avi", "avs2", "avs3", "cavsvideo", "dhav", "dirac", "dv", "evc",
    "flic", "flv", "gif", "h261", "h263", "h264", "hevc", "hxvs", "ivf", "kux", "m4v",
    "matroska", "mjpeg", "mjpeg_2000", "mov", "mpeg", "mpegts", "mpegvideo", "mxf", "nut",
    "obu", "ogg", "pva", "rm", "smjpeg", "ty", "vc1", "vvc", "wtv", "yuv4mpegpipe",
)
FILE_PROTOCOLS = ("file",)
# Formats of cameras and servers; 'image2pipe' and '*_pipe' are sequences of JPEG or PNG images.
STREAM_FORMATS = (*FILE_FORMATS, "image2pipe", "jpeg_pipe", "live_flv", "mpjpeg", "png_pipe",
                  "rtp", "rtsp")
PLAYLIST_FORMATS = ("hls", "dash")
STREAM_PROTOCOLS = ("rtsp", "rtp", "srtp", "rtmp", "rtmps", "rtmpt", "rtmpts", "ffrtmphttp",
                    "srt", "udp", "tcp", "tls", "http", "https", "httpproxy", "crypto")
HTTP_PROTOCOLS = ("http", "https", "httpproxy", "tcp", "tls", "crypto", "data")
COMMON_FORMATS = "mp4, mov, mkv, webm, avi, ts, mpeg, flv, wmv, ogv, gif, ..."


def open_file(path: Path, name: str, max_pixels: int = MAX_FRAME_PIXELS) -> Any:
    """Open a video file; no other file is opened, even if the file refers to it.

    Args:
        path: a regular file.
        name: the name used in messages.
        max_pixels: maximum number of pixels of a frame, enforced by the decoder.

    Returns:
        PyAV's input container.

    Raises:
        VideoError: not a regular file, or not in a supported format.
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
        # The prefix prevents FFmpeg from parsing a name such as 'concat:a' as a URL.
        return _open(f"file:{path}", FILE_FORMATS, FILE_PROTOCOLS, max_pixels)
    except av.error.ArgumentError as error:
        raise VideoError(
            f"{name}: not a video in a supported format, or damaged", expected=COMMON_FORMATS,
            hint="playlists and other files that refer to files are not supported; for images use "
            "'detkit predict'",
        ) from error
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        raise VideoError(
            f"{name}: cannot be opened as a video", got=error_reason(error),
            expected="a complete video file",
        ) from error


def open_url(
    url: str, options: dict[str, str], timeout: float, max_pixels: int = MAX_FRAME_PIXELS
) -> Any:
    """Open a stream; playlists of an HTTP URL may refer to other hosts, but not to local files.

    Args:
        url: 'http://...', 'rtsp://...' and so on.
        options: of FFmpeg.
        timeout: for opening and for each packet, in seconds.
        max_pixels: maximum number of pixels of a frame, enforced by the decoder.

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
    """Open a camera with FFmpeg's input device ``device_format``; see `open_url`."""
    return _open(url, (device_format,), (), max_pixels, options, format=device_format,
                 timeout=timeout)


def create_container(file: Any, format_name: str, options: dict[str, str]) -> Any:
    """Create an output container on ``file``, an object with ``write`` and ``seek``."""
    return load_av().open(file, "w", format=format_name, options=options)


def load_av() -> Any:
    """Import PyAV.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    return av


def decoder_limit(max_pixels: int) -> str:
    """The value of FFmpeg's option 'max_pixels' for frames of up to ``max_pixels``.

    It is twice the limit, because decoders include rows and columns added for alignment, up to 63
    each. The readers check the exact limit for each frame.
    """
    return str(min(2 * max_pixels, 2**62))


def error_reason(error: BaseException) -> str:
    """The error message of FFmpeg or of the system."""
    return str(getattr(error, "strerror", None) or error)


def _open(
    url: str, formats: tuple[str, ...], protocols: tuple[str, ...], max_pixels: int,
    options: dict[str, str] | None = None, **kwargs: Any,
) -> Any:
    return load_av().open(
        # Tags in other encodings than UTF-8 do not affect the frames.
        url, metadata_errors="replace", options={
            **(options or {}),
            "format_whitelist": ",".join(formats),
            "protocol_whitelist": ",".join(protocols),
            "enable_drefs": "0",  # QuickTime tracks in other files
            "use_absolute_path": "0",
            "max_pixels": decoder_limit(max_pixels),
        }, **kwargs,
    )


def _special_file_hint(path: Path) -> str | None:
    camera_index = path.name[len("video"):]
    if path.parent == Path("/dev") and path.name.startswith("video") and camera_index.isdigit():
        return f"give a camera by its index alone: {camera_index}"
    return None
