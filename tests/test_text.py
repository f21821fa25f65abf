"""Texts made fit for a message."""

import pytest

from detkit.cli.main import run_command
from detkit.text import closest_name, printable


@pytest.mark.parametrize("text, shown", [
    ("", ""),
    ("kočka 猫 🐈", "kočka 猫 🐈"),
    ("👩\u200d🔬", "👩\u200d🔬"),  # letters that join are no commands
    ("a\nb", r"a\nb"),
    ("\x1b[2Kdone", r"\x1b[2Kdone"),
    ("gnp.\u202egpj", r"gnp.\u202egpj"),
    ("a\u2028b\x9b1A", r"a\u2028b\x9b1A"),
])
def test_terminal_control_characters_are_escaped(text, shown):
    assert printable(text) == shown


def test_line_breaks_of_a_table_stay_where_asked():
    assert printable("a\nb\r", keep="\n") == "a\nb\\r"


def test_error_line_shows_a_file_name_with_escape_codes_as_text(tmp_path, capsys):
    name = tmp_path / "a\x1b[1A\x1b[2Kfine.pth"
    (tmp_path / "a.png").touch()
    assert run_command("predict", [str(name), str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error and r"a\x1b[1A\x1b[2Kfine.pth" in error


def test_near_name_is_none_without_names():
    assert closest_name("cat", []) is None
