"""Messages of errors."""

import pytest

from detkit import errors
from detkit.errors import DetkitError, MissingExtraError, format_error


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "a.json"),
        ({"got": 9}, "a.json: got 9"),
        ({"expected": "1..8"}, "a.json: expected 1..8"),
        ({"hint": "run this"}, "a.json; run this"),
        ({"got": 9, "expected": "1..8", "hint": "run this"},
         "a.json: got 9, expected 1..8; run this"),
        ({"got": 0}, "a.json: got 0"),
        ({"got": "two\n  lines"}, "a.json: got two lines"),
    ],
    ids=["message alone", "got", "expected", "hint", "all", "got zero", "several lines"],
)
def test_message_has_got_expected_and_hint(parts, message):
    error = DetkitError("a.json", **parts)
    assert str(error) == message
    assert (error.message, error.got) == ("a.json", parts.get("got"))


def test_every_error_derives_from_detkit_error():
    classes = [cls for cls in vars(errors).values()
               if isinstance(cls, type) and issubclass(cls, Exception)]
    assert len(classes) >= 6
    assert all(issubclass(cls, DetkitError) for cls in classes)


def test_missing_library_error_names_the_pip_extra():
    message = str(MissingExtraError("supervision", "video"))
    assert "'supervision'" in message and "pip install 'detkit[video]'" in message


@pytest.mark.parametrize("error, line", [
    (AssertionError(), "AssertionError"),
    (ValueError("two\n  lines"), "ValueError: two lines"),
])
def test_format_error_is_one_line(error, line):
    assert format_error(error) == line
