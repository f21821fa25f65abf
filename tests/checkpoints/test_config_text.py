"""Parsing the config text of a checkpoint as literals."""

from __future__ import annotations

from typing import Any

import pytest

from detkit.checkpoints.config_text import parse_literals
from detkit.errors import WeightsError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("'''Doc.'''\na = 1", {"a": 1}),
        ("a = dict(b=[-1, (2.5, None)], **{'c.d': True})",
         {"a": {"b": [-1, (2.5, None)], "c.d": True}}),
        ("a = {'x': {1, 2}}", {"a": {"x": {1, 2}}}),
        ("a = inf", {"a": float("inf")}),
    ],
    ids=["empty", "docstring", "dict call", "set", "infinity"],
)
def test_parse_literals(text: str, expected: dict[str, Any]) -> None:
    assert parse_literals(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = c", "line 2.*Name"),
        ("a = f(1)", "line 1.*Call"),
        ("import os", "line 1.*Import"),
        ("a = b = 1", "line 1.*Assign"),
        ("a = {[]: 1}", "line 1.*unhashable"),
        ("a = dict(", "not Python source"),
        (f"a = {2**64}", "an integer of 65 bits"),
        ("a = " + "[" * 150 + "]" * 150, "levels of brackets"),
        ("#" * (2**22 + 1), "too long.*expected at most 4194304"),
    ],
    ids=["name", "call", "import", "two targets", "list as key", "syntax", "large integer", "deep",
         "long"],
)
def test_other_text_is_rejected_with_its_line(text: str, message: str) -> None:
    with pytest.raises(WeightsError, match=f"the config.*{message}"):
        parse_literals(text, "the config")


def test_only_the_given_names_are_parsed() -> None:
    text = "import os\na = f(1)\nmodel = dict(**{'x.y': 1})\nb = 2"
    assert parse_literals(text, names=("model",)) == {"model": {"x.y": 1}}
    assert parse_literals(text, names=()) == {}
