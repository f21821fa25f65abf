"""Fixtures of the page tests."""

import logging

import pytest


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    """A log file that is open before the page is served, as after a training."""
    handler = logging.FileHandler(tmp_path_factory.mktemp("log") / "run.log")
    yield handler
    handler.close()


@pytest.fixture(scope="module")
def served(log_file, tmp_path_factory):
    from page_server import ServedPage
    from thumbnail_checkpoint import save_thumbnail

    folder = tmp_path_factory.mktemp("page")
    page = ServedPage(save_thumbnail(folder / "thumbnail.pth"), tmp_path_factory.mktemp("served"))
    yield page
    page.end()


@pytest.fixture
def browser(served):
    from page_browser import Browser

    return Browser(served.address)
