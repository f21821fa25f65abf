"""Parsing of the arguments of ``train`` and ``test``."""

from __future__ import annotations

from typing import Any

import pytest

from detkit.cli.args import parse_options
from detkit.cli.main import build_parser, run_command
from detkit.errors import ConfigError


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("a=", ""),
        ("a.b=1e-4", 1e-4),
        ("a=true", True),
        ("a=None", None),
        ("a=1,2", [1, 2]),
        ("a=x,y", ["x", "y"]),
        ("a=(1, 2)", (1, 2)),
        ("a=[dict]", ["dict"]),
        ("a={'type': 'SGD'}", {"type": "SGD"}),
        ("a=b=c", "b=c"),
        ("a=path/to/file.pth", "path/to/file.pth"),
    ],
)
def test_cfg_options_are_parsed_as_in_mmdetection(pair: str, expected: Any) -> None:
    assert list(parse_options([pair]).values()) == [expected]


@pytest.mark.parametrize("text", [
    "", "1", "-1", "007", "1e-4", ".5", "inf", "true", "False", "None", "'a'", "cat", "a'b",
    "don't,x", "cat,dog", "1,2", "a,", "[]", "()", "[a]", "(a,)", "(a)", "[cat,dog]",
    "(cat,dog)", "[a, b]", "[1,true,None]", "['cat',dog]", "[\"cat\",'dog']", "[[a,b],[c]]",
    "[(1,2,3),[a,b],c]", "[(cat,1),(dog,2.5)]", "[a,[b,(c,d)]]", "path/to/x.py",
    "[path/a,path/b]", "a(b", "cat]",
])
def test_cfg_options_match_mmengine_dict_action(text: str) -> None:
    from mmengine.config import DictAction

    parsed, expected = parse_options([f"key={text}"])["key"], DictAction._parse_iterable(text)
    assert parsed == expected and type(parsed) is type(expected)


def test_spaces_inside_values_are_kept() -> None:
    # mmengine removes them, which changes the class 'traffic light'.
    assert parse_options(["a=[cat,'traffic light',fire hydrant]"])["a"] == [
        "cat", "traffic light", "fire hydrant"]


@pytest.mark.parametrize("text", ["[cat", "[a,(b]", "(a,b]", "a],b"])
def test_unbalanced_brackets_are_rejected(text: str) -> None:
    with pytest.raises(ConfigError, match="--cfg-options key: got .*bracket"):
        parse_options([f"key={text}"])


def test_no_options_give_empty_dict() -> None:
    assert parse_options([]) == {}


def test_option_without_value_is_rejected() -> None:
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        parse_options(["lr"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [([], None), (["--resume"], "auto"), (["--resume", "f.pth"], "f.pth")],
    ids=["absent", "without a file", "with a file"],
)
def test_resume_takes_a_file_or_none(words: list[str], expected: str | None) -> None:
    args = build_parser("train", "train").parse_args(["config.py", *words])
    assert args.resume == expected


@pytest.mark.parametrize("seed", ["-1", str(2**32), "x"])
def test_seed_out_of_range_is_usage_error(
    seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("train", ["config.py", "--seed", seed]) == 2
    assert "--seed" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--local_rank", "--local-rank"])
def test_local_rank_flag_of_old_launcher_is_accepted(flag: str) -> None:
    assert build_parser("train", "train").parse_args(["config.py", f"{flag}=1"]).local_rank == 1


@pytest.mark.parametrize("command", ["train", "test"])
def test_missing_config_is_one_line_error(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["nowhere.py"] + (["file.pth"] if command == "test" else [])
    assert run_command(command, words) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.strip().splitlines()[-1] == "error: nowhere.py: no such config file"
