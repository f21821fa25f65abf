"""The documentation: every page is in the navigation, commands parse, the reference is complete."""

import ast
import importlib
import re
import shlex
import sys

import pytest
from test_readme import blocks, check, commands

from detkit import registry
from detkit.cli.main import COMMANDS, build_parser
from detkit.config.load_config import RUNNER_KEYS

GENERATED = {"reference/api.md", "reference/commands.md", "reference/components.md",
             "reference/config_keys.md", "reference/configs.md"}


@pytest.fixture(scope="module")
def documents(repository):
    return {path.name: path.read_text(encoding="utf-8")
            for path in sorted(repository.glob("docs/*.md"))}


@pytest.fixture(scope="module")
def pages(repository):
    """The generated pages, as 'make docs' adds them."""
    sys.path.insert(0, str(repository / "tools"))
    try:
        return importlib.import_module("reference_pages").pages()
    finally:
        sys.path.remove(str(repository / "tools"))


def test_every_page_is_in_the_navigation(documents, repository):
    text = (repository / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"[\w/]+\.md", text.partition("\nnav:\n")[2])
    assert len(listed) == len(set(listed)) and set(listed) == {*documents, *GENERATED}


def test_links_to_the_reference_lead_to_a_page_and_a_heading(documents, pages):
    links = [link for text in documents.values()
             for link in re.findall(r"\]\((reference/[\w.]+)#?([\w-]*)\)", text)]
    assert len(links) > 10
    for page, anchor in links:
        headings = re.findall(r"^#+ (.+)$", pages[page], re.MULTILINE)
        assert not anchor or anchor in [each.lower().replace(" ", "-") for each in headings]


def test_commands_in_the_documents_parse(documents, repository, capsys):
    found = [words for text in documents.values() for words in commands(text)]
    assert len(found) > 20
    for words in found:
        try:
            check(words, repository)
        except SystemExit:
            pytest.fail(f"{shlex.join(words)}: {capsys.readouterr().err}")


def test_python_in_the_documents_compiles_and_its_imports_exist(documents):
    shown = [block for text in documents.values() for block in blocks(text, "python")]
    assert len(shown) > 3
    for block in shown:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert not [item.name for item in node.names if not hasattr(module, item.name)]


def test_paths_in_the_documents_exist(documents, repository):
    paths = re.findall(r"`((?:detkit|configs|tools|tests|docs|benchmarks)/[\w./-]+)`",
                       "\n".join(documents.values()))
    assert len(paths) > 15
    assert not [path for path in paths
                if "NAME" not in path and not (repository / path).exists()]


def documented_names(node):
    """The names in the 'Args:' section of a function's or class's docstring."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", ast.get_docstring(node) or "", re.MULTILINE)
    for line in re.findall(r"^ {4}(\S[^:]*):", section[1] if section else "", re.MULTILINE):
        if "all others" not in line:  # those of the base class
            yield from re.findall(r"(?:^|, )\*{0,2}(\w+)", line)


def argument_names(node):
    """The arguments of a function; of a class those of its __init__, and its fields."""
    if isinstance(node, ast.ClassDef):
        names = {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
        return names.union(*(argument_names(item) for item in node.body
                             if getattr(item, "name", "") in ("__init__", "__new__")))
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg,
             node.args.kwarg]
    return {each.arg for each in every if each}


def test_documented_arguments_exist(repository):
    wrong, count = [], 0
    for path in sorted((repository / "detkit").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names = set(documented_names(node))
                count += len(names)
                # The arguments of a class without __init__ are those of its base.
                if names and argument_names(node):
                    wrong += [f"{path.name}:{node.lineno}: {name}"
                              for name in names - argument_names(node)]
    assert count > 1000
    assert not wrong


def test_reference_has_every_flag_of_every_command(pages):
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", pages["reference/commands.md"],
                               re.MULTILINE | re.DOTALL))
    assert set(sections) == set(COMMANDS)
    for command, text in sections.items():
        shown = [flag for action in build_parser(command, command)._actions
                 for flag in action.option_strings if action.help != "==SUPPRESS=="]
        assert not [flag for flag in shown if flag.startswith("--") and flag != "--help"
                    and f"`{flag}`" not in text]


def test_reference_describes_every_config_key(pages):
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S.*) \|$", pages["reference/config_keys.md"],
                           re.MULTILINE))
    assert RUNNER_KEYS <= set(rows)


def test_reference_has_every_registered_type_with_its_summary(pages):
    text = pages["reference/components.md"]
    found = dict(re.findall(r"^### (\w+)\n\n(\S[^\n]*)", text, re.MULTILINE))
    own = [name for name, value in registry.MODELS.module_dict.items()
           if value.__module__.startswith("detkit.")]
    assert len(own) > 15 and set(own) <= set(found)
    assert not [name for name, line in found.items() if line.startswith(("|", "`"))]


def test_reference_lists_every_config_under_both_names(pages, repository):
    text = pages["reference/configs.md"]
    files = {path.relative_to(repository).as_posix()
             for path in (repository / "configs").rglob("*.py") if "_base_" not in path.parts}
    assert set(re.findall(r"`(configs/[\w./-]+\.py)`", text)) >= files
