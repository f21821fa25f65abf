"""What all tests of the models share."""

from collections.abc import Iterator

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def detkit_scope() -> Iterator[None]:
    """Look names up as a run does, whatever scope a test before left in force."""
    with DefaultScope.overwrite_default_scope("detkit"):
        yield
