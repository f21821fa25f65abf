"""Common to all commands: usage, exit codes, one-line errors."""

import re
import signal
import subprocess
import sys

import pytest

import detkit.cli
from detkit.cli.main import COMMANDS, main, run_command
from detkit.version import __version__


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A command for tests, 'probe', that does what its one argument says."""
    (tmp_path / "probe.py").write_text('''"""Try things."""
from detkit.errors import DataError
EXAMPLES = "examples:"
def add_arguments(parser):
    parser.add_argument("action")
def run(args):
    if args.action == "fault":
        raise DataError("a.json: broken", got=1, expected=2, hint="mend it")
    if args.action == "stop":
        raise KeyboardInterrupt
    if args.action == "absent":
        open("no/such/file")
    if args.action == "big":
        raise MemoryError
    if args.action == "worker":
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    if args.action == "pipe":
        raise BrokenPipeError(32, "Broken pipe")
    if args.action == "peer":
        raise RuntimeError("[/x/gloo/transport/tcp/pair.cc:5] Connection closed by peer [::1]:32")
    if args.action == "disk":
        raise OSError(28, "No space left on device")
    if args.action == "term":
        import os, signal
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")
    if args.action == "hidden":
        import os, signal
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except:
            raise SyntaxError("the config cannot be formatted")
    if args.action == "fork":
        import multiprocessing, time
        fork = multiprocessing.get_context("fork")
        begun = fork.Event()
        child = fork.Process(target=lambda: (begun.set(), time.sleep(60)))
        child.start()
        begun.wait(30)
        child.terminate()
        child.join(30)
        return 0 if child.exitcode == -15 else 1
    if args.action == "group":
        import os, signal, subprocess, sys
        def on_child(number, frame):
            raise RuntimeError("a loading process is killed by signal: TerminationInterrupt")
        signal.signal(signal.SIGCHLD, on_child)
        global loading
        loading = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        os.kill(os.getpid(), signal.SIGTERM)
    if args.action == "bug":
        raise ValueError("a bug")
    return int(args.action)
''')
    monkeypatch.setattr(detkit.cli, "__path__", [*detkit.cli.__path__, str(tmp_path)])
    monkeypatch.setitem(COMMANDS, "probe", "try things")
    yield "probe"
    sys.modules.pop("detkit.cli.probe", None)


def test_no_arguments_print_commands_and_usage_error(capsys):
    assert main([]) == 2
    out = capsys.readouterr().out
    for name, text in COMMANDS.items():  # one line each
        assert re.search(rf"^ +{name}  +{re.escape(text)}$", out, re.MULTILINE)


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_lists_commands(word, capsys):
    assert main([word]) == 0
    assert "COMMAND ..." in capsys.readouterr().out


def test_help_is_a_word_too(capsys):
    assert main(["help"]) == 0
    assert "COMMAND ..." in capsys.readouterr().out
    assert main(["help", "evaluate"]) == 0
    assert "ANNOTATIONS" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--version", "version"])
def test_version(word, capsys):
    assert main([word]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_unknown_command_suggests_close_match(capsys):
    assert main(["evalute"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "'evalute'" in err and "did you mean 'evaluate'" in err


@pytest.mark.parametrize(("word", "command"), [
    ("detect", "predict"), ("infer", "predict"), ("val", "test"), ("eval", "test"),
    ("track", "video"), ("convert", "export"), ("flops", "complexity"), ("gui", "serve")])
def test_words_of_other_tools_name_the_command(word, command, capsys):
    assert main([word]) == 2
    assert f"did you mean '{command}'?" in capsys.readouterr().err


def test_python_runs_the_package(repository):
    done = subprocess.run([sys.executable, "-m", "detkit", "version"], cwd=repository,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == f"{__version__}\n"


@pytest.mark.parametrize("code", [0, 1])
def test_return_value_of_command_is_exit_code(command, code):
    assert main([command, str(code)]) == code


def test_detkit_error_is_one_line_and_exit_code_2(command, capsys):
    assert main([command, "fault"]) == 2
    assert capsys.readouterr() == ("", "error: a.json: broken: got 1, expected 2; mend it\n")


def test_debug_shows_the_traceback_too(command, capsys):
    assert main([command, "fault", "--debug"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and err.endswith(
        "error: a.json: broken: got 1, expected 2;" " mend it\n"
    )


def test_a_missing_file_is_one_line(command, capsys):
    assert main([command, "absent"]) == 2
    assert capsys.readouterr().err == "error: no/such/file: No such file or directory\n"


def test_interrupt_prints_one_word_and_exits_130(command, capsys):
    assert main([command, "stop"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_too_little_memory_is_one_line(command, capsys):
    assert main([command, "big"]) == 2
    assert capsys.readouterr().err.startswith("error: out of memory; use a smaller")


@pytest.mark.parametrize(("fault", "message"), [
    ("worker", "a dataloader worker was killed: the memory is probably exhausted"),
    ("pipe", "the connection to another process or server was lost"),
    ("peer", "the connection to another process or server was lost"),
    ("disk", "No space left on device"),
])
def test_system_error_is_one_line_and_exit_code_2(command, fault, message, capsys):
    assert main([command, fault]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {message}") and err.count("\n") == 1 and out == ""


def test_internal_errors_are_not_hidden(command):
    with pytest.raises(ValueError, match="a bug"):
        main([command, "bug"])


@pytest.mark.parametrize("words", [[], ["0", "--no-such-flag"]], ids=["too few", "unknown flag"])
def test_wrong_usage_is_exit_code_2(command, words, capsys):
    assert run_command(command, words, prog="tools/probe.py") == 2
    assert "usage: tools/probe.py" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(repository):
    command = f"{sys.executable} -c 'import time; time.sleep(0.2); from detkit.cli.main import " \
              "run_command; raise SystemExit(run_command(\"evaluate\", [\"--help\"]))' | true"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True,
                          text=True, cwd=repository)
    assert "Traceback" not in done.stderr


def test_sigterm_ends_command_like_ctrl_c(command, capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert run_command(command, ["term"]) == 143  # 128 + 15, as a shell says it
    assert capsys.readouterr().err == "terminated\n"
    assert run_command(command, ["stop"]) == 130
    assert run_command(command, ["hidden"]) == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_child_processes_ending_with_the_command_raise_nothing(command, capsys):
    before = signal.getsignal(signal.SIGCHLD)
    try:
        assert run_command(command, ["group"]) == 143
        child = sys.modules["detkit.cli.probe"].loading
        child.terminate()
        assert child.wait(30) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert capsys.readouterr().err == "terminated\n"


def test_sigterm_ends_forked_process(command):
    assert run_command(command, ["fork"]) == 0


def test_distributed_process_keeps_sigterm_default(command, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    ignored = signal.signal(signal.SIGTERM, lambda *_: received.append(True))
    received = []
    try:
        with pytest.raises(AssertionError):
            run_command(command, ["term"])
    finally:
        signal.signal(signal.SIGTERM, ignored)
    assert received == [True]


def test_brackets_of_a_path_in_the_status_line_are_not_markup(monkeypatch):
    """As markup, '[/]' would raise an error in rich, and '[1]' would be missing."""
    import io

    from detkit.cli.progress import status

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with status("reading runs[/]/[red]\x1b[2J/best.pth"):
        pass
    assert r"runs[/]/[red]\x1b[2J/best.pth" in sys.stderr.getvalue()
