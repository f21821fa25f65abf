"""Serve a web page that runs inference on images, videos and the camera.

The page has controls for the threshold and the classes, and shows the time of each stage against
the 33 ms of 30 frames per second. Everything runs on this machine; no data is sent to others.
Ctrl-C stops the server, and uploaded files are then removed.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from detkit.app.hosts import allowed_hosts, host_name, is_loopback
from detkit.cli.args import add_trust_flag
from detkit.cli.engine_args import add_engine_flags
from detkit.cli.inference_args import (
    CLASS_THRESHOLD,
    DETECTION_THRESHOLD,
    add_checkpoint,
    add_device,
    add_threshold,
    positive_int,
)
from detkit.errors import DetkitError, MissingExtraError

if TYPE_CHECKING:
    from detkit.app.demo_model import DemoModel

EXAMPLES = """examples:
  detkit serve work_dirs/quickstart/best.pth
  detkit serve work_dirs/quickstart/best.pth --port auto --threshold 0.5
  detkit serve work_dirs/quickstart/best.pth --host 0.0.0.0 --max-upload 50
"""
HOST, PORT = "127.0.0.1", 7860
MAX_UPLOAD_MB = 500
WARM_UP_HW = (480, 640)  # the usual size of camera images
LIBRARIES = (("gradio", "demo"), ("supervision", "video"), ("av", "video"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit serve``."""
    add_checkpoint(parser)
    add_trust_flag(parser)
    parser.add_argument(
        "--host", metavar="ADDRESS", default=HOST,
        help="the address to listen on (default: %(default)s, this machine only); with 0.0.0.0 "
             "every machine that can reach this one has access, without a password",
    )
    parser.add_argument(
        "--port", metavar="N", type=port, default=PORT,
        help="the port to listen on, or auto for a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-host", metavar="HOST", type=host_name, action="append", default=[],
        help="another host name that the page may be opened with, for one port or for all, such "
             "as that of a proxy or of a forwarded port; repeatable",
    )
    parser.add_argument(
        "--max-upload", metavar="MB", type=positive_int, default=MAX_UPLOAD_MB,
        help="maximum size of an uploaded file (default: %(default)s)",
    )
    add_threshold(parser)
    add_device(parser)
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C; the URL is printed as soon as the page is available."""
    for library, extra in LIBRARIES:
        if find_spec(library) is None:
            raise MissingExtraError(library, extra)

    from detkit.app.server import (
        MAX_OUTPUT_PER_UPLOAD,
        MAX_STORED_FILES,
        MB,
        cookie_name,
        offline_gradio,
        open_port,
        page_server,
        server_url,
    )
    from detkit.app.visitors import VisitorRegistry

    # Before the slow loading of the checkpoint.
    if not args.checkpoint.exists():
        raise DetkitError(f"{args.checkpoint}: no such file")
    with open_port(args.host, args.port) as listen_socket, \
            TemporaryDirectory(prefix="detkit-serve-", ignore_cleanup_errors=True) as folder:
        model = load_demo_model(args)
        with offline_gradio(Path(folder)):
            from detkit.app.image_tab import ResultCache
            from detkit.app.page import Page

            default = DETECTION_THRESHOLD if model.is_detector else CLASS_THRESHOLD
            threshold = default if args.threshold is None else args.threshold
            result_cache = ResultCache()
            visitors = VisitorRegistry(Path(folder), MAX_STORED_FILES * args.max_upload * MB,
                                       result_cache.drop)
            page = Page(model, args.checkpoint.name, threshold, visitors, result_cache,
                        cookie_name(listen_socket), MAX_OUTPUT_PER_UPLOAD * args.max_upload * MB)

            def on_start() -> None:
                print(f"{server_url(listen_socket)}", flush=True)
                print("press Ctrl-C to stop", file=sys.stderr)
                if not is_loopback(listen_socket.getsockname()[0]):
                    print("warning: every machine that can reach this one has access, without a "
                          "password", file=sys.stderr)

            hosts = allowed_hosts(listen_socket, args.host, args.allow_host)
            page_server(page.blocks, listen_socket, hosts, visitors, args.max_upload, on_start,
                        page.stop).run(sockets=[listen_socket])
    print("stopped; uploaded files are removed", file=sys.stderr)
    return 0


def load_demo_model(args: argparse.Namespace) -> DemoModel:
    """Load the checkpoint and warm it up, so that the first image is as fast as the next."""
    import numpy as np

    from detkit.app.demo_model import DemoModel
    from detkit.cli.build_predictor import build_predictor

    predictor = build_predictor(args, WARM_UP_HW)
    model = DemoModel(predictor, predictor.summary())
    model.predict(np.zeros((*WARM_UP_HW, 3), np.uint8))
    return model


def port(text: str) -> int:
    """A port, 0 for 'auto'; a type for argparse."""
    value = 0 if text == "auto" else int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"got {text}, expected a port from 0 to 65535, or auto")
    return value
