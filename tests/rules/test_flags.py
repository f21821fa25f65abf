"""The arguments of each command are a promise: they change only together with this file."""

import argparse
import importlib
import shlex

import pytest

from detkit.cli.main import COMMANDS, build_parser

# Of the commands that run inference, the same on each.
ENGINE = {"--engine", "--precision", "--size", "--max-proposals"}
FROZEN = {
    "train": {"CONFIG", "--data", "--work-dir", "--cfg-options", "--resume",
              "--backbone-from", "--from-scratch", "--amp", "--auto-scale-lr", "--auto-batch",
              "--minutes", "--epochs", "--batch-size", "--lr", "--size", "--workers", "--patience",
              "--freeze", "--weights", "--name", "--launcher", "--device", "--seed",
              "--max-pixels", "--trust"},
    "test": {"CONFIG", "CHECKPOINT", "--data", "--work-dir", "--cfg-options", "--launcher",
             "--device", "--out", "--max-pixels", "--trust"},
    "evaluate": {"ANNOTATIONS", "RESULTS", "--classwise", "--out", "--force"},
    "predict": {"CHECKPOINT", "IMAGES", "--out", "--threshold", "--top-k", "--device",
                "--no-images", "--force", "--max-pixels", "--trust", "--classes", "--max-det",
                "--agnostic-nms", "--save-coco", "--save-txt", "--save-csv", "--save-crops",
                *ENGINE},
    "video": {"CHECKPOINT", "FILE", "--out", "--json", "--threshold", "--window", "--device",
              "--force", "--track", "--count-line", "--zone", "--live", "--target-fps", "--batch",
              "--fps", "--encoder", "--preset", "--max-pixels", "--no-audio", "--trust", *ENGINE},
    "export": {"CHECKPOINT", "--out", "--format", "--precision", "--size", "--max-proposals",
               "--data", "--max-ap-drop", "--calibration", "--batch", "--device", "--force",
               "--max-pixels", "--trust"},
    "benchmark": {"CHECKPOINT", "--data", "--split", "--size", "--engine", "--precision",
                  "--max-proposals", "--runs", "--no-ap", "--device", "--out", "--force",
                  "--max-pixels", "--trust"},
    "serve": {"CHECKPOINT", "--host", "--port", "--allow-host", "--max-upload", "--threshold",
              "--device", "--trust", *ENGINE},
    "configs": {"NAME", "--full"},
    "weights": {"NAME", "--fetch"},
    "complexity": {"CONFIG", "--size", "--cfg-options", "--out"},
}
EVERYWHERE = {"--help", "--debug"}


def actions(command_name):
    """The arguments of the command, without hidden ones."""
    return [action for action in build_parser(command_name, command_name)._actions
            if action.help != argparse.SUPPRESS]


def words(command_name):
    """Long flags, and positional words as the usage line shows them."""
    found = set()
    for action in actions(command_name):
        long = [flag for flag in action.option_strings if flag.startswith("--")]
        found.add(long[0] if long else action.metavar or action.dest)
    return found


def test_every_command_is_frozen(repository):
    tools = {path.stem for path in (repository / "tools").glob("*.py")}
    assert set(FROZEN) == set(COMMANDS) <= tools


@pytest.mark.parametrize("command_name", FROZEN)
def test_flags_are_the_frozen_set(command_name):
    assert words(command_name) == FROZEN[command_name] | EVERYWHERE


@pytest.mark.parametrize("command_name", FROZEN)
def test_every_flag_has_help(command_name):
    assert not [action.dest for action in actions(command_name) if not action.help]
    module = importlib.import_module(f"detkit.cli.{command_name}")
    assert module.__doc__


@pytest.mark.parametrize("command_name", FROZEN)
def test_help_shows_two_commands_that_parse(command_name, capsys):
    examples = importlib.import_module(f"detkit.cli.{command_name}").EXAMPLES.replace("\\\n", " ")
    commands = [shlex.split(line, comments=True) for line in examples.splitlines()[1:]]
    shown = [command[command.index("detkit") + 1:] for command in commands if "detkit" in command]
    shown += [[word[len("tools/"):-len(".py")], *command[index + 1:]]
              for command in commands for index, word in enumerate(command)
              if word.startswith("tools/")]
    assert len(shown) >= 2
    for command in shown:
        assert command[0] in COMMANDS
        build_parser(command[0], command[0]).parse_args(command[1:])


@pytest.mark.parametrize("flag", ["--device", "--data", "--cfg-options", "--threshold",
                                  "--launcher", "--work-dir"])
def test_flag_means_the_same_on_every_command(flag):
    """Same number of values, same choices, same default."""
    meanings = {}
    for command_name in COMMANDS:
        for action in actions(command_name):
            if flag in action.option_strings:
                meanings[command_name] = repr(
                    (type(action), action.nargs, action.default, action.choices))
    assert len(set(meanings.values())) == 1, meanings
