"""tools/install.sh checks the hash of every file; with packages made here, without a network."""

import base64
import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

pytestmark = pytest.mark.slow  # each makes a .venv

# In the place of setuptools: an editable install that puts one file on the path.
BACKEND = '''
import zipfile

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("thing.py", "")
        wheel.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: thing\\n"
                       "Version: 1.0\\nRequires-Dist: absent-and-not-looked-for\\n")
        wheel.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("thing-1.0.dist-info/RECORD", "")
    return name
'''


def write_wheel(folder, name):
    """A wheel of one empty module and its hash."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {f"{name}.py": "", f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
             f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"").digest()).rstrip(b"=").decode()
    files[f"{info}/RECORD"] = f"{name}.py,sha256={digest},0\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in files.items():
            wheel.writestr(file, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def checkout(tmp_path, repository):
    """A checkout whose lock names two packages that pip finds in a folder."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "packages").mkdir()
    script = (repository / "tools" / "install.sh").read_text(encoding="utf-8")
    (tmp_path / "tools" / "install.sh").write_text(script, encoding="utf-8")
    lock = "# made by hand\n"
    for name in ("packaging", "other"):
        digest = write_wheel(tmp_path / "packages", name)
        lock += f"{name}==1.0 ; python_version > '3' \\\n    --hash=sha256:{digest}\n    # via x\n"
    (tmp_path / "requirements.lock").write_text(lock, encoding="utf-8")
    (tmp_path / "backend.py").write_text(BACKEND, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "thing"\nversion = "1.0"\n', encoding="utf-8")
    return tmp_path


def install(checkout, **more):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("PIP_", "PYTHONPATH"))}
    environment.update(PYTHON=sys.executable, VENV=".venv", PIP_NO_INDEX="1",
                       PIP_FIND_LINKS=str(checkout / "packages"), **more)
    return subprocess.run(["sh", "tools/install.sh"], cwd=checkout, env=environment,
                          capture_output=True, text=True, timeout=300)


def installed(checkout):
    return {path.stem for path in checkout.glob(".venv/lib/python*/site-packages/*.py")}


def test_files_with_the_hashes_of_the_lock_are_installed(checkout):
    done = install(checkout)
    assert done.returncode == 0, done.stderr
    assert (checkout / ".venv" / ".installed").is_file()
    assert {"packaging", "other", "thing"} <= installed(checkout)


@pytest.mark.parametrize("name", ["packaging", "other"])  # the build's tools, and the rest
def test_a_file_with_another_hash_is_not_installed(name, checkout):
    with zipfile.ZipFile(checkout / "packages" / f"{name}-1.0-py3-none-any.whl", "a") as wheel:
        wheel.writestr("more.py", "")
    done = install(checkout)
    assert done.returncode == 1
    assert f"{name}==1.0" in done.stderr and "DO NOT MATCH THE HASHES" in done.stderr
    assert "\nerror: " in done.stderr and "Traceback" not in done.stderr
    assert not (checkout / ".venv" / ".installed").exists()
    assert not {"other", "thing", "more"} & installed(checkout)


def test_a_package_without_a_hash_is_not_installed(checkout):
    lock = checkout / "requirements.lock"
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[4] = "other==1.0\n"
    lock.write_text("".join(lines[:5]), encoding="utf-8")
    done = install(checkout)
    assert done.returncode == 1 and "Hashes are required" in done.stderr
    assert "other" not in installed(checkout)


def test_unverified_says_so_and_installs_the_same_versions(checkout):
    with zipfile.ZipFile(checkout / "packages" / "other-1.0-py3-none-any.whl", "a") as wheel:
        wheel.writestr("more.py", "")
    done = install(checkout, UNVERIFIED="1")
    assert done.returncode == 0, done.stderr
    assert "warning: UNVERIFIED=1" in done.stderr
    assert {"packaging", "other", "more", "thing"} <= installed(checkout)
