"""Fixtures of the tests of the page."""

import pytest


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from page_server import Served
    from thumbnail_checkpoint import save_thumbnail

    folder = tmp_path_factory.mktemp("page")
    page = Served(save_thumbnail(folder / "thumbnail.pth"), tmp_path_factory.mktemp("served"))
    yield page
    page.end()


@pytest.fixture
def browser(served):
    from page_browser import Browser

    return Browser(served.address)
