"""The page of a small detector, served by a thread of the test process."""

import asyncio
import threading

from detkit.app.demo_model import DemoModel
from detkit.app.hosts import allowed_hosts
from detkit.app.image_tab import ResultCache
from detkit.app.server import MB, cookie_name, offline_gradio, open_port, page_server
from detkit.app.visitors import VisitorRegistry
from detkit.inference.predictor import Predictor

MAX_UPLOAD_MB = 1


class ServedPage:
    """The page and its server; call ``end`` afterwards."""

    def __init__(self, checkpoint, folder):
        self.folder = folder
        self.result_cache = ResultCache()
        self.visitors = VisitorRegistry(folder, 3 * MB, self.result_cache.drop)
        self.listen_socket = open_port("127.0.0.1", 0)
        self.address = self.listen_socket.getsockname()
        with offline_gradio(folder):
            from detkit.app.page import Page

            model = DemoModel(Predictor(checkpoint, device="cpu"), "mmdet")
            page = Page(model, "tiny", 0.0, self.visitors, self.result_cache,
                        cookie_name(self.listen_socket), MB)
            ready = threading.Event()
            self._server = page_server(
                page.blocks, self.listen_socket, allowed_hosts(self.listen_socket, "127.0.0.1"),
                self.visitors, MAX_UPLOAD_MB, ready.set, page.stop)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve([self.listen_socket])))
        self._thread.start()
        assert ready.wait(60)

    def end(self):
        """End the server, as Ctrl-C does."""
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
