"""Plain-text tables."""

import pytest

from detkit.tables import WIDTH, format_table


def test_columns_are_aligned_without_trailing_spaces():
    rows = [("class", "AP", "note"), ("ant", "0.5", ""), ("long name", "-", "no images")]
    assert format_table(rows, "lrl").splitlines() == [
        "class       AP  note",
        "ant        0.5",
        "long name    -  no images",
    ]


@pytest.mark.parametrize("cell", ["a/long/path/" * 20, "several words " * 20, "紙" * 100],
                         ids=["path", "words", "wide characters"])
def test_long_text_is_wrapped_within_the_width_and_keeps_every_character(cell):
    lines = format_table([("name", "count"), (cell, "1234567"), ("b", "2")], "lr").splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].endswith("1234567") and lines[-1].split() == ["b", "2"]
    text = "".join(lines[1:-1]).replace("1234567", "")
    assert text.replace(" ", "") == cell.replace(" ", "")


def test_numbers_are_never_cut():
    lines = format_table([("a",) * 10, ("x" * 50, *["1" * 12] * 9)], "l" + "r" * 9).splitlines()
    assert lines[1].split()[1:] == ["1" * 12] * 9
    assert lines[1].startswith("x" * 8)


def test_indentation_and_markup_are_kept_and_control_characters_escaped():
    lines = format_table([("[red]part[/red]", "1"), ("  inner", "2"), ("a\nb\x1b[31m", "3")], "lr")
    assert lines.splitlines() == [
        "[red]part[/red]  1", "  inner          2", "a\\nb\\x1b[31m     3"]


def test_environment_changes_neither_width_nor_color(monkeypatch):
    rows = [("a class of a rather long name", "0.5000")]
    expected = format_table(rows, "lr")
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "12"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    assert format_table(rows, "lr") == expected == "a class of a rather long name  0.5000"


def test_unwrapped_text_stays_on_its_line():
    path = "a/" * 60 + "b.png"
    assert format_table([[path, "1", "x " * 30 + "x"]], "LrL") == f"{path} 1 " + "x " * 30 + "x"
