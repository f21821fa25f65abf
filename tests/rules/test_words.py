"""Nothing in the repository is bound to one machine or names where packages come from."""

import re

import pytest

# In pieces, so that this file does not contain what it looks for.
HOSTS = ["py" + "pi.", "python" + "hosted", "download." + "pytorch", "ana" + "conda.", "conda" + "-"
         "forge", "files." + "python", "npm" + "js.", "aliyun" + ".com/", "tuna." + "tsinghua",
         "extra-index" + "-url", "find" + "-links"]
FOLDERS = ["ho" + "me", "ro" + "ot", "wo" + "rk", "Use" + "rs", "mn" + "t", "op" + "t"]
PATH = re.compile(r"(?<![\w.~/$}>)*-])/(?:" + "|".join(FOLDERS) + r")(?![\w.*-])")


def find_forbidden(text):
    """(line number, text) of every host of a package registry and every machine-specific path."""
    for number, line in enumerate(text.splitlines(), 1):
        for host in HOSTS:
            if host in line.lower():
                yield number, host
        for match in PATH.finditer(line):
            yield number, match.group()


def test_no_file_names_a_registry_or_a_machine(repository_files, repository):
    found = []
    for path in repository_files:
        content = path.read_bytes()
        if b"\0" in content[:8000]:
            continue  # an image
        found += [f"{path.relative_to(repository)}:{number}: {text}"
                  for number, text in find_forbidden(content.decode("utf-8", "replace"))]
    assert len(repository_files) > 50
    assert not found


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ("", False),
        ("see work_dirs/quickstart and ../work/x and ~/home", False),
        ("https://example.org/home/x", False),
        ("cd /" + "home/me/x", True),
        ("'/" + "work'", True),
        ("/" + "root/.cache", True),
        ("https://" + "py" + "pi.org/simple", True),
        ("/tmp/out", False),
        ("a/" + "root/b, <path>/work", False),
    ],
)
def test_forbidden_names_are_found(line, caught):
    assert bool(list(find_forbidden(line))) == caught
