"""Installed packages are pinned and hashed: the locks hold all that setup.cfg requires."""

import configparser
import importlib.metadata
import re

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

# mmcv requires the build with libGL; the headless one of setup.cfg has the same module.
LEFT_OUT = {"opencv-python"}
PLATFORMS = {"linux-x86_64": ("linux", "x86_64"), "linux-aarch64": ("linux", "aarch64"),
             "macos-arm64": ("darwin", "arm64"), "windows": ("win32", "AMD64")}
EVERYWHERE = pytest.mark.parametrize(
    "environment",
    [{**default_environment(), "python_version": python, "python_full_version": f"{python}.5",
      "sys_platform": system, "platform_machine": machine}
     for python in ("3.10", "3.11", "3.12", "3.13") for system, machine in PLATFORMS.values()],
    ids=[f"{python}-{name}" for python in ("3.10", "3.11", "3.12", "3.13") for name in PLATFORMS])


def requirements(text):
    """The requirements of a file for pip, with their hashes: [(Requirement, [hash])]."""
    lines = re.sub(r"\s*#.*", "", text).replace("\\\n", "").splitlines()
    parts = [re.split(r"\s+--hash=", line.strip()) for line in lines if line.strip()]
    return [(Requirement(entry), hashes) for entry, *hashes in parts]


@pytest.fixture(scope="module")
def text(repository):
    return (repository / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def docs_text(repository):
    return (repository / "requirements-docs.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def docs_lock(docs_text):
    return requirements(docs_text)


@pytest.fixture(scope="module")
def lock(text):
    return requirements(text)


@pytest.fixture(scope="module")
def required(repository):
    """The requirements of setup.cfg, with the extra that 'make install' takes."""
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg", encoding="utf-8")
    lines = config["options"]["install_requires"] + config["options.extras_require"]["test"]
    return [Requirement(line) for line in lines.splitlines() if line.strip()]


def pins(entries, environment):
    """{name: version} that pip installs there; a name twice is an error."""
    found = [(canonicalize_name(entry.name), Version(str(entry.specifier).removeprefix("==")))
             for entry in entries if not entry.marker or entry.marker.evaluate(environment)]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_every_entry_is_one_version_with_the_hashes_of_its_files(lock, docs_lock):
    assert len(lock) > 150 and len(docs_lock) > 25
    for entry, hashes in [*lock, *docs_lock]:
        assert re.fullmatch(r"==[^*,]+", str(entry.specifier)), entry
        assert hashes and not entry.url, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), entry


def test_the_locks_do_not_name_where_packages_come_from(text, docs_text):
    for each in (text, docs_text):
        assert "://" not in each
        assert not re.findall(r"^\s*-(?!-hash=sha256:)", each, re.MULTILINE)


@EVERYWHERE
def test_the_docs_lock_adds_to_the_lock_and_changes_nothing(
    environment, lock, docs_lock, repository
):
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg", encoding="utf-8")
    lines = config["options.extras_require"]["docs"].splitlines()
    pinned = pins([entry for entry, _ in lock], environment)
    added = pins([entry for entry, _ in docs_lock], environment)
    assert all(pinned[name] == version for name, version in added.items() if name in pinned)
    for entry in [Requirement(line) for line in lines if line.strip()]:
        assert entry.specifier.contains(added[canonicalize_name(entry.name)]), entry


@EVERYWHERE
def test_the_lock_holds_what_setup_cfg_asks_for(environment, lock, required):
    pinned = pins([entry for entry, _ in lock], environment)
    assert len(required) > 25
    for entry in required:
        assert entry.specifier.contains(pinned[canonicalize_name(entry.name)]), entry


@EVERYWHERE
def test_the_lock_agrees_with_constraints(environment, lock, repository):
    tried = requirements((repository / "constraints.txt").read_text(encoding="utf-8"))
    tried = pins([entry for entry, _ in tried], environment)
    pinned = pins([entry for entry, _ in lock], environment)
    assert len(tried) > 25 and tried.items() <= pinned.items()


def test_whatever_an_installed_package_asks_for_is_in_the_lock(lock, required):
    # Installed with --no-deps: what is not in the lock would be missing.
    pinned = pins([entry for entry, _ in lock], default_environment())
    todo, visited = [(entry, "setup.cfg") for entry in required], set()
    while todo:
        entry, who = todo.pop()
        name = canonicalize_name(entry.name)
        if name in LEFT_OUT or (name, *entry.extras) in visited:
            continue
        visited.add((name, *entry.extras))
        assert name in pinned, f"{who} asks for {entry}"
        assert entry.specifier.contains(pinned[name]), f"{who} asks for {entry}"
        installed = importlib.metadata.distribution(name)
        assert Version(installed.version) == pinned[name], f"{name}: run 'make install'"
        needs = [Requirement(line) for line in installed.requires or []]
        todo += [(need, name) for need in needs
                 if not need.marker or any(need.marker.evaluate({"extra": extra})
                                           for extra in ("", *entry.extras))]
    assert len({name for name, *_ in visited}) > 100


def test_the_lock_leaves_out_the_opencv_that_needs_libgl(lock):
    assert not LEFT_OUT & {canonicalize_name(entry.name) for entry, _ in lock}


def test_setup_cfg_bounds_versions_whose_internals_are_relied_on(required):
    bounded = {entry.name for entry in required
               if any(each.operator in ("<", "<=", "==", "~=") for each in entry.specifier)}
    assert bounded >= {"torch", "torchvision", "onedl-mmengine", "onedl-mmcv", "onedl-mmdetection",
                       "gradio", "uvicorn", "starlette", "fastapi", "av", "openvino", "nncf",
                       "onnxruntime"}
