"""A file holds one concept: none is over 400 lines, none has a generic name."""

import pytest

LIMIT = 400
FOLDERS = ("detkit", "tools", "tests", "configs", "benchmarks")
NAMES = {"utils", "util", "core", "misc", "common", "helpers", "helper", "stuff", "tools_lib"}


@pytest.fixture(scope="module")
def sources(repository_files, repository):
    return {str(path.relative_to(repository)): path for path in repository_files
            if path.suffix == ".py" and path.relative_to(repository).parts[0] in FOLDERS}


def test_no_file_is_over_400_lines(sources):
    assert len(sources) > 50
    counts = {name: len(path.read_text(encoding="utf-8").splitlines())
              for name, path in sources.items()}
    assert not {name: count for name, count in counts.items() if count > LIMIT}


def test_no_file_or_folder_has_a_generic_name(sources):
    assert not [name for name in sources
                if NAMES & set(name.removesuffix(".py").lower().split("/"))]


def test_every_file_of_the_package_says_what_it_is(sources):
    import ast

    assert not [name for name, path in sources.items()
                if name.startswith(("detkit/", "tools/", "configs/"))
                and path.read_text(encoding="utf-8").strip()
                and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]


def test_no_tool_hides_a_standard_module(sources):
    import sys

    tools = [name.split("/")[-1].removesuffix(".py") for name in sources
             if name.startswith("tools/")]
    # Run as 'python tools/inspect.py', the folder comes first on sys.path. 'test' is only
    # Python's own test suite, which nothing imports.
    assert tools and not set(tools) & (sys.stdlib_module_names - {"test"})
