"""The page: its layout, and the functions that its components call."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from PIL import Image as PillowImage

from detkit.app.demo_model import DemoModel
from detkit.app.html import status
from detkit.app.image_tab import (
    CameraTimings,
    ImageOutput,
    ResultCache,
    predict_camera_frame,
    predict_file,
    render_result,
)
from detkit.app.video_tab import predict_video
from detkit.app.visitors import VisitorRegistry
from detkit.errors import DetkitError, format_error
from detkit.text import printable

STREAM_EVERY = 1 / 30  # seconds between two images that the browser sends
MAX_CAMERAS = 4  # processed at the same time; more are queued
MAX_SESSIONS = 50  # whose camera timings are kept in memory
STATE_TTL_SECONDS = 3600
JPEG_QUALITY = 85  # of an annotated image
IMAGE_HEIGHT = 380  # of an image on the page, in CSS pixels
CAMERA_CONSTRAINTS = {
    "video": {
        "width": {"ideal": 640}, "height": {"ideal": 480}, "facingMode": {"ideal": "environment"}
    }
}

Result = TypeVar("Result")


class Page:
    """The page of a model, and its video runs, which can be stopped.

    Args:
        model: the model.
        title: the name of the checkpoint.
        threshold: the initial value of the slider, 0 to 1.
        visitors: the owners of uploaded files and of results.
        result_cache: the last result of each open page.
        cookie: the name of the cookie that identifies a visitor.
        max_video: maximum size of an annotated video, in bytes.

    Attributes:
        blocks: gradio's page.
    """

    def __init__(
        self, model: DemoModel, title: str, threshold: float, visitors: VisitorRegistry,
        result_cache: ResultCache, cookie: str, max_video: int,
    ) -> None:
        self._model = model
        self._visitors = visitors
        self._result_cache = result_cache
        self._cookie = cookie
        self._max_video = max_video
        self._stops: dict[str, threading.Event] = {}
        self._ending = False
        self.blocks = self._build(title, threshold)

    def stop(self) -> None:
        """Stop all video runs, and start no more."""
        self._ending = True
        for stop in list(self._stops.values()):
            stop.set()

    def _build(self, title: str, threshold: float) -> Any:
        model = self._model
        with gr.Blocks(
            title=f"{title} - detkit", analytics_enabled=False, fill_width=True,
        ) as blocks:
            blocks.state_session_capacity = MAX_SESSIONS
            _html("head", _head(model, title))
            with gr.Row():
                slider = gr.Slider(
                    0, 1, value=threshold, step=0.01, elem_id="threshold", label="Threshold",
                    info="detections with a lower score are left out" if model.is_detector
                    else "a label with a lower probability is shown as 'unsure'",
                )
                classes = gr.Dropdown(
                    [(name, label) for label, name in enumerate(model.classes)],
                    multiselect=True, elem_id="classes", label="Classes",
                    info="only these are shown; all if none is selected", visible=model.is_detector,
                )
            filters = [slider, classes]
            with gr.Tabs():
                with gr.Tab("Image", id="image"):
                    self._image_tab(filters)
                with gr.Tab("Video", id="video"):
                    self._video_tab(filters)
                with gr.Tab("Camera", id="camera"):
                    self._camera_tab(filters)
            blocks.unload(self._on_unload)
        return blocks

    def _image_tab(self, filters: list[Any]) -> None:
        with gr.Row():
            with gr.Column():
                component = _pass_file_through(gr.Image(
                    sources=["upload", "clipboard"], label="Image", show_label=False,
                    height=IMAGE_HEIGHT, elem_id="image-in", buttons=[]))
                status_line = _html("image-status", status())
                budget = _html("image-budget")
            with gr.Column():
                output = gr.Image(
                    label="Result", show_label=False, interactive=False, format="jpeg",
                    height=IMAGE_HEIGHT, elem_id="image-out", buttons=["download", "fullscreen"])
                results_html = _html("image-results")
        results = [output, results_html, budget, status_line]

        def predict(
            path: str | None, threshold: float, labels: list[int] | None, request: gr.Request
        ) -> list[Any]:
            return self._run_prediction(request, lambda: predict_file(
                self._model, self._owned_path(request, path), threshold, labels or []))

        def refilter(
            path: str | None, threshold: float, labels: list[int] | None, request: gr.Request
        ) -> list[Any]:
            result = self._result_cache.get(str(request.session_hash))
            if result is None:
                return predict(path, threshold, labels, request) if path else [gr.skip()] * 4
            return self._run_prediction(
                request, lambda: render_result(self._model, result, threshold, labels or []))

        gr.on([component.upload, component.clear], predict, [component, *filters], results,
              concurrency_limit=1, concurrency_id="image", api_visibility="private")
        gr.on([control.change for control in filters], refilter, [component, *filters], results,
              concurrency_limit=1, concurrency_id="image", trigger_mode="always_last",
              show_progress="hidden", api_visibility="private")

    def _run_prediction(self, request: gr.Request, work: Callable[[], ImageOutput]) -> list[Any]:
        """The outputs of ``work``, with the annotated image as a file of this visitor."""
        def run() -> list[Any]:
            output = work()
            self._result_cache.put(str(request.session_hash), output.result)
            path = None
            if output.image is not None:
                path = self._visitors.new_folder() / "result.jpeg"
                PillowImage.fromarray(output.image).save(path, quality=JPEG_QUALITY)
                self._visitors.add_file(self._token(request), path)
            return [path, output.results, output.budget, output.status]

        return _guard(run, lambda error_html: [None, "", "", error_html])

    def _video_tab(self, filters: list[Any]) -> None:
        with gr.Row():
            with gr.Column():
                component = _pass_file_through(
                    gr.File(label="Video", file_types=["video"], height=160, elem_id="video-in"))
                with gr.Row():
                    rerun = gr.Button("Run again", size="sm", min_width=80,
                                      elem_id="video-rerun")
                    stop = gr.Button("Stop", size="sm", min_width=80, elem_id="video-stop")
                status_line = _html("video-status", status())
                budget = _html("video-budget")
            with gr.Column():
                output = gr.Video(label="Result", show_label=False, interactive=False,
                                  height=IMAGE_HEIGHT, elem_id="video-out", autoplay=True)
                results_html = _html("video-results")

        def predict(
            path: str | None, threshold: float, labels: list[int] | None, request: gr.Request,
            progress: Any = gr.Progress(),  # noqa: B008  gradio finds it in the signature
        ) -> list[Any]:
            stop = threading.Event()
            if self._ending:
                stop.set()
            session = str(request.session_hash)
            self._stops[session] = stop

            def run() -> list[Any]:
                output = predict_video(
                    self._model, self._owned_path(request, path), self._visitors.folder, threshold,
                    labels or [], stop, lambda done, total: progress((done, total), unit="frames"),
                    max_bytes=self._max_video)
                if output.video is not None:
                    self._visitors.add_file(self._token(request), Path(output.video))
                return [*vars(output).values()]

            try:
                return _guard(run, lambda error_html: [None, "", "", error_html])
            finally:
                self._stops.pop(session, None)

        gr.on([component.upload, rerun.click], predict, [component, *filters],
              [output, results_html, budget, status_line], concurrency_limit=1,
              concurrency_id="video", show_progress_on=[output], api_visibility="private")
        # Through the queue, like all calls, without waiting for others.
        stop.click(self._on_stop, concurrency_limit=None, show_progress="hidden",
                   api_visibility="private")

    def _camera_tab(self, filters: list[Any]) -> None:
        times = gr.State(None, time_to_live=STATE_TTL_SECONDS)
        with gr.Row():
            with gr.Column():
                component = _pass_file_through(gr.Image(
                    sources=["webcam"], streaming=True, label="Camera", elem_id="camera-in",
                    height=300,
                    webcam_options=gr.WebcamOptions(mirror=False, constraints=CAMERA_CONSTRAINTS)),
                    attribute="url")
                _html("camera-note", '<p class="note">Browsers allow access to the camera only '
                      "for pages on the same machine (127.0.0.1, localhost) and for https.</p>")
                budget = _html("camera-budget")
            with gr.Column():
                output = _html("camera-out",
                               html_template='<img alt="Result" src="${value}">')
                results_html = _html("camera-results")

        def predict(value: str | None, threshold: float, labels: list[int] | None,
                    times: CameraTimings | None) -> list[Any]:
            def run() -> list[Any]:
                output = predict_camera_frame(self._model, value, threshold, labels or [], times)
                return [output.image, output.results, output.budget, output.times]

            return _guard(run, lambda error_html: ["", error_html, "", times])

        # The server keeps only the newest image of each camera: no queue can grow.
        component.stream(predict, [component, *filters, times],
                         [output, results_html, budget, times], stream_every=STREAM_EVERY,
                         time_limit=None, concurrency_limit=MAX_CAMERAS, concurrency_id="camera",
                         show_progress="hidden", api_visibility="private")

    def _on_stop(self, request: gr.Request) -> None:
        stop = self._stops.get(str(request.session_hash))
        if stop is not None:
            stop.set()

    def _on_unload(self, request: gr.Request) -> None:
        self._on_stop(request)
        self._result_cache.drop(str(request.session_hash))

    def _owned_path(self, request: gr.Request, path: str | None) -> str | None:
        """The real path of a file that this visitor uploaded; None for None.

        Raises:
            DetkitError: the file is not this visitor's, or was removed.
        """
        if path is None:
            return None
        visitor = self._visitors.get(self._token(request))
        real = None if visitor is None else self._visitors.file(visitor, path)
        if real is None:
            raise DetkitError("the uploaded file was removed", hint="upload it again")
        return str(real)

    def _token(self, request: gr.Request) -> str | None:
        token: str | None = request.cookies.get(self._cookie)
        return token


def _html(name: str, value: str = "", **kwargs: Any) -> Any:
    """A component for HTML that uses only the style sheet of this page."""
    return gr.HTML(value, elem_id=name, apply_default_css=False, padding=False, **kwargs)


def _pass_file_through(component: Any, attribute: str = "path") -> Any:
    """Have an input return a file's path, or a camera image's data URL, without reading it.

    By default gradio opens an image before it calls a function, and responds to a broken image
    with a traceback on the server and no reason on the page. A subclass would be the usual way,
    but gradio writes a .pyi file next to the source of each.

    Args:
        component: the input.
        attribute: the attribute of the file to return: 'path', or 'url' for the camera.
    """
    component.preprocess = lambda value: None if value is None else getattr(value, attribute)
    return component


def _guard(work: Callable[[], Result], on_error: Callable[[str], Result]) -> Result:
    """The result of ``work``; after an error a line on stderr, and ``on_error`` of the status."""
    try:
        return work()
    except Exception as error:
        message = str(error) if isinstance(error, DetkitError) else format_error(error)
        line = printable(" ".join(message.split()))[:300]
        print(f"error: {line}", file=sys.stderr)
        return on_error(status(line, is_error=True))


def _head(model: DemoModel, title: str) -> str:
    from html import escape

    count = len(model.classes)
    task = "detects" if model.is_detector else "classifies"
    listed = ", ".join(model.classes[:6]) + (", ..." if count > 6 else "")
    return (f"<h1>{escape(title)}</h1><p>{task} {count} {'class' if count == 1 else 'classes'}: "
            f"{escape(listed)} · {escape(model.engine)}</p>")
