"""Open a page in the browser: pictures, videos and the camera in, detections or labels out.

Threshold and classes are chosen on the page, which shows what each frame costs against the 33 ms
of thirty frames a second. It runs on this machine alone: nothing is sent to, or fetched from,
another. What is uploaded is removed when the server ends, which Ctrl-C does.
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
WARM_UP_HW = (480, 640)  # as cameras give pictures
LIBRARIES = (("gradio", "demo"), ("supervision", "video"), ("av", "video"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``serve``."""
    add_checkpoint(parser)
    add_trust_flag(parser)
    parser.add_argument(
        "--host", metavar="ADDRESS", default=HOST,
        help="the address to listen at (default: %(default)s, this machine alone); 0.0.0.0 lets "
             "in whoever reaches this machine, without a password",
    )
    parser.add_argument(
        "--port", metavar="N", type=port, default=PORT,
        help="the port to listen at, or auto for one that is free (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-host", metavar="HOST", type=host_name, action="append", default=[],
        help="a further host that browsers may open the page by, with its port or for any, as "
             "behind a proxy or a forwarded port; may be given several times",
    )
    parser.add_argument(
        "--max-upload", metavar="MB", type=positive_int, default=MAX_UPLOAD_MB,
        help="larger files are refused (default: %(default)s)",
    )
    add_threshold(parser)
    add_device(parser)
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C; the address is printed as soon as the page answers."""
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

    # A checkpoint may take long to load: what can be wrong before comes first.
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
                print("Ctrl-C ends it", file=sys.stderr)
                if not is_loopback(listen_socket.getsockname()[0]):
                    print("whoever reaches this machine can use it: there is no password",
                          file=sys.stderr)

            hosts = allowed_hosts(listen_socket, args.host, args.allow_host)
            page_server(page.blocks, listen_socket, hosts, visitors, args.max_upload, on_start,
                        page.stop).run(sockets=[listen_socket])
    print("ended; what was uploaded is removed", file=sys.stderr)
    return 0


def load_demo_model(args: argparse.Namespace) -> DemoModel:
    """The checkpoint's model, warmed up, so that the first picture is no slower than the next."""
    import numpy as np

    from detkit.app.demo_model import DemoModel
    from detkit.cli.build_predictor import build_predictor

    predictor = build_predictor(args, WARM_UP_HW)
    model = DemoModel(predictor, predictor.summary())
    model.predict(np.zeros((*WARM_UP_HW, 3), np.uint8))
    return model


def port(text: str) -> int:
    """A port's number, 0 for 'auto', for argparse."""
    value = 0 if text == "auto" else int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"got {text}, expected a port from 0 to 65535, or auto")
    return value
