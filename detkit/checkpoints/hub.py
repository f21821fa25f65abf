"""Download weights from the Hugging Face hub, with its cache."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from detkit.errors import WeightsError

logger = logging.getLogger(__name__)

# The hub's client retries for most of a minute before it reports a missing network.
_TIMEOUT_S = 10
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def find_in_hub_cache(repository: str, filename: str | None = None) -> Path | None:
    """The file of a repository in the hub's cache; None if it is not there.

    Args:
        repository: 'OWNER/NAME' or 'OWNER/NAME@REVISION'.
        filename: None for the weights under their usual names.
    """
    import huggingface_hub

    repository_args = _repository_args(repository)
    for file in _files(filename):
        cached = huggingface_hub.try_to_load_from_cache(filename=file, **repository_args)
        if isinstance(cached, str):
            return Path(cached)
    return None


def fetch_from_hub(repository: str, filename: str | None = None) -> Path:
    """Get the file of a repository, from the cache or by a download.

    Args: as of ``find_in_hub_cache``.

    Raises:
        WeightsError: the download fails.
    """
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    cached = find_in_hub_cache(repository, filename)
    if cached is not None:
        return cached
    files, repository_args = _files(filename), _repository_args(repository)
    try:
        _check_reachable(huggingface_hub.hf_hub_url(filename=files[0], **repository_args))
        for file in files:
            try:
                return Path(huggingface_hub.hf_hub_download(filename=file, **repository_args))
            except EntryNotFoundError as error:
                if isinstance(error, LocalEntryNotFoundError):  # no network
                    raise
        raise FileNotFoundError(f"the repository has none of {', '.join(files)}")
    # Network errors have many types.
    except Exception as error:
        logger.debug("the weights of %s could not be downloaded", repository, exc_info=error)
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(
            f"could not be downloaded from {repository} ({type(error).__name__}: {reason})"
        ) from error


def _files(filename: str | None) -> tuple[str, ...]:
    return (filename,) if filename else _WEIGHT_FILES


def _repository_args(repository: str) -> dict[str, Any]:
    repository, _, revision = repository.partition("@")
    return {"repo_id": repository, "revision": revision or None}


def _check_reachable(url: str) -> None:
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    get_session().head(url, timeout=_TIMEOUT_S)
