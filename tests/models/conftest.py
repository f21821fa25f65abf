"""Fixtures of the tests of models."""

from collections.abc import Iterator

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def detkit_scope() -> Iterator[None]:
    """Resolve names in detkit's scope, whatever scope an earlier test has set."""
    with DefaultScope.overwrite_default_scope("detkit"):
        yield
