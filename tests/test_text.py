"""Text of messages."""

import pytest

from detkit.cli.main import run_command
from detkit.text import (
    closest_name,
    closest_names,
    did_you_mean,
    list_names,
    name_hint,
    printable,
)


@pytest.mark.parametrize("text, shown", [
    ("", ""),
    ("kočka 猫 🐈", "kočka 猫 🐈"),
    ("👩\u200d🔬", "👩\u200d🔬"),  # joiners are kept
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


def test_closest_name_without_candidates_is_none():
    assert closest_name("cat", []) is None


def test_closest_name_ignores_case_and_returns_the_candidate_as_it_is():
    assert closest_name("ZEBAR", ["horse", "Zebra"]) == "Zebra"


def test_closest_name_above_the_cutoff_only():
    assert closest_name("nms_pr", ["nms_pre"], cutoff=0.85) == "nms_pre"
    assert closest_name("nms_x", ["nms_pre"], cutoff=0.85) is None


def test_closest_names_returns_the_most_similar_first():
    assert closest_names("resnet5", ["vit", "resnet152", "resnet50"], 2) == [
        "resnet50", "resnet152"]


@pytest.mark.parametrize(("candidates", "hint"), [
    ([], None), (["horse"], None), (["dog"], "did you mean 'dog'?"),
])
def test_name_hint_and_its_form_at_the_end_of_a_message(candidates, hint):
    assert name_hint("dgo", candidates) == hint
    assert did_you_mean("dgo", candidates) == (f"; {hint}" if hint else "")


@pytest.mark.parametrize(("names", "line"), [
    ([], ""), (["a"], "a"), (["a", "b"], "a, b"), (iter("abcd"), "a, b and 2 more"),
])
def test_list_names(names, line):
    assert list_names(names, 2) == line
