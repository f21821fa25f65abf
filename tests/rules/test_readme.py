"""The README is correct: its commands parse, and the files and flags it names exist."""

import ast
import importlib
import re
import shlex

import pytest

from detkit.cli.main import COMMANDS, build_parser

LIMIT = 120


@pytest.fixture(scope="module")
def readme(repository):
    return (repository / "README.md").read_text(encoding="utf-8")


def blocks(text, *languages):
    """The contents of the fenced code blocks of these languages."""
    return [block for language, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
            if language in languages]


def commands(text):
    """The command lines of all shell blocks, continued lines joined, comments left out."""
    lines = "\n".join(blocks(text, "sh", "bash", "shell", "console")).replace("\\\n", " ")
    found = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines.splitlines()]
    return [words for words in found if words]


def targets(repository):
    """The targets of the Makefile."""
    text = (repository / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([\w-]+):(?!=)", text, re.MULTILINE))


def check(words, repository):
    """Raise what is wrong with one command; its words go through its own parser."""
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    name, rest = words[0].removeprefix(".venv/bin/"), words[1:]
    if name == "make":
        requested = [word for word in rest if "=" not in word]
        assert requested and set(requested) <= targets(repository), words
    elif name in ("sh", "bash") or name.startswith("./"):
        assert (repository / (rest[0] if name in ("sh", "bash") else name)).is_file(), words
    elif name in ("source", "."):
        assert rest == [".venv/bin/activate"], words
    elif name in ("cd", "git", "pip"):
        pass
    elif name == "detkit":
        parse(rest[0], rest[1:], repository)
    elif name.startswith(("python", "torchrun")):
        if rest[:1] == ["-m"]:
            importlib.import_module(rest[1])
            return
        index = next(index for index, word in enumerate(rest) if word.endswith(".py"))
        assert (repository / rest[index]).is_file(), words
        if rest[index].startswith("tools/"):
            parse(rest[index][len("tools/"):-len(".py")], rest[index + 1:], repository)
    else:
        raise AssertionError(f"a command that nothing checks: {words}")


def parse(command, words, repository):
    assert command in COMMANDS, command
    build_parser(command, command).parse_args(words)
    for word in words:
        if word.startswith("configs/"):
            assert (repository / word).is_file(), word


def test_readme_is_at_most_120_lines(readme):
    assert 0 < len(readme.splitlines()) <= LIMIT


def test_commands_of_the_readme_parse(readme, repository, capsys):
    found = commands(readme)
    assert len(found) >= 5
    for words in found:
        try:
            check(words, repository)
        except SystemExit:
            pytest.fail(f"{' '.join(words)}: {capsys.readouterr().err}")


def test_commands_of_the_makefile_parse(repository, capsys):
    text = (repository / "Makefile").read_text(encoding="utf-8").replace("$(BIN)", ".venv/bin")
    lines = re.findall(r"^\t@?(.*tools/\w+\.py.*)$", text, re.MULTILINE)
    found = [shlex.split(line) for line in lines]
    assert found
    for words in found:
        try:
            check(words, repository)
        except SystemExit:
            pytest.fail(f"{' '.join(words)}: {capsys.readouterr().err}")


def test_commands_inside_sentences_parse(readme, repository, capsys):
    # `torchrun ... CONFIG` and the like; a bare command or word is not a command.
    for inline in re.findall(r"`((?:make|python|torchrun|sh) [^`]+)`", readme):
        if "COMMAND" in inline:
            continue
        try:
            check(shlex.split(inline), repository)
        except SystemExit:
            pytest.fail(f"{inline}: {capsys.readouterr().err}")


def test_commands_and_flags_in_readme_exist(readme):
    # The table of commands: | `train CONFIG` | ...
    rows = re.findall(r"^\| `([a-z]+) [A-Z][^`]*` \|(.*)$", readme, re.MULTILINE)
    assert {command for command, _ in rows} == set(COMMANDS)
    for command, text in rows:
        flags = set(build_parser(command, command)._option_string_actions)
        assert set(re.findall(r"`(--[a-z-]+)", text)) <= flags, command
    known = {
        flag
        for command in COMMANDS
        for flag in build_parser(command, command)._option_string_actions
    }
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", readme)) <= known | {
        "--nproc-per-node", "--nproc_per_node"}


def test_links_and_paths_in_the_readme_exist(readme, repository):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", readme)
    paths = re.findall(r"`((?:detkit|configs|tools|tests|docs|benchmarks)/[\w./-]*)`", readme)
    paths += re.findall(r"^(detkit/\S+)", "\n".join(blocks(readme, "", "text")), re.MULTILINE)
    assert links and paths
    named = [path for path in links + paths if "://" not in path and "COMMAND" not in path]
    assert not [path for path in named if not (repository / path).exists()]


def headings(path):
    """The anchors of a document, as GitHub makes them of its headings."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in found}


def test_links_of_all_documents_lead_to_a_file_and_a_heading(repository):
    num_links = 0
    for document in [*repository.glob("*.md"), *repository.glob("docs/*.md")]:
        text = document.read_text(encoding="utf-8")
        for link, anchor in re.findall(r"\]\((?!\w+://)([^)#]*)#?([^)]*)\)", text):
            if link.startswith("reference/"):
                continue  # made when the site is built, which checks these links
            target = document.parent / link if link else document
            assert target.is_file(), (document.name, link)
            assert not anchor or anchor in headings(target), (document.name, link, anchor)
            num_links += 1
    assert num_links > 15


def test_python_shown_compiles_and_its_imports_exist(readme):
    shown = blocks(readme, "python", "py")
    assert shown
    for block in shown:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert not [item.name for item in node.names if not hasattr(module, item.name)]


def test_readme_has_no_placeholders(readme):
    assert not re.findall(r"TODO|FIXME|TBD|RESULTS_TABLE", readme)


@pytest.mark.parametrize(
    "line",
    ["make no-such-target", "python tools/absent.py", "detkit trian configs/quickstart.py",
     "python tools/train.py configs/absent.py", "sh absent.sh", "curl x | sh",
     "detkit evaluate a.json b.json --no-such-flag"],
)
def test_invalid_commands_are_found(line, repository, capsys):
    with pytest.raises((AssertionError, SystemExit)):
        check(shlex.split(line), repository)
