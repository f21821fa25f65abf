"""NOTICE names what is installed with its licence; SECURITY.md is there and linked."""

import configparser
import importlib.metadata
import re

import pytest
from packaging.requirements import Requirement

FAMILIES = {"Apache": "Apache", "BSD": "BSD", "MIT": "MIT", "ISC": "ISC",
            "PSF": "PSF|Python Software Foundation"}


@pytest.fixture(scope="module")
def config(repository):
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg", encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def notice(repository):
    return (repository / "NOTICE").read_text(encoding="utf-8")


def names(lines):
    return {Requirement(line).name for line in lines.splitlines() if line.strip()}


def test_notice_lists_each_requirement_with_the_licence_of_its_metadata(config, notice):
    required = names(config["options"]["install_requires"])
    required |= names(config["options.extras_require"]["test"])
    documentation = names(config["options.extras_require"]["docs"])
    listed = dict(re.findall(r"^ {4}([a-z][\w-]+) {2,}(\S+)", notice, re.MULTILINE))
    assert set(listed) == required | documentation
    for name, licence in listed.items():
        family, = [family for family in FAMILIES if licence.startswith(family)]
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            assert name in documentation  # installed by 'make docs' alone
            continue
        licences = [metadata.get("License-Expression") or "", metadata.get("License") or "",
                    *(metadata.get_all("Classifier") or [])]
        if licences[:2] == ["", "UNKNOWN"]:
            licences += [importlib.metadata.distribution(name).read_text("LICENSE")]
        assert re.search(FAMILIES[family], " ".join(licences)), (name, licence, licences)


def test_notice_names_the_gpl_libraries_that_the_video_wheel_has(notice):
    import av

    text, = re.findall(r"^GPL libraries.*?(?=^\S)", notice, re.MULTILINE | re.DOTALL)
    bundled = {"libx264", "libx265"} & av.codecs_available
    assert all(name in text for name in bundled)


def test_wheels_take_licence_and_notice_along(config, repository):
    files = config["metadata"]["license_files"].split()
    assert files == ["LICENSE", "NOTICE"]
    assert all((repository / name).is_file() for name in files)


def test_readme_links_security_and_notice(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert {"SECURITY.md", "NOTICE"} <= set(re.findall(r"\]\(([^)#]+)\)", readme))


def test_commands_and_files_of_the_security_document_exist(repository):
    text = (repository / "SECURITY.md").read_text(encoding="utf-8")
    assert "report" in text.lower()
    paths = re.findall(r"`((?:detkit|configs|tools|tests|docs)/[\w./-]+)`", text)
    assert not [path for path in paths if not (repository / path).exists()]
