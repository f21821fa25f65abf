"""Published weights of timm's models: from the cache, else from the hub, else one clear error."""

from __future__ import annotations

import logging
from typing import Any

from detkit.errors import WeightsError

logger = logging.getLogger(__name__)

# The hub's own client tries for most of a minute before it says that there is no network.
_TIMEOUT_S = 10
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_SUGGESTION = "give a local file instead: init_cfg=dict(type='Pretrained', checkpoint=FILE)"


def fetch_pretrained(name: str, owner: str = "TimmBackbone") -> str:
    """Where the published weights of a model of timm are: a local file, fetched if need be.

    For a few models this is an address outside of the hub, as ``read_checkpoint`` takes it.

    Args:
        name: of timm's model, with or without a tag of its weights.
        owner: who asks, for messages.

    Raises:
        WeightsError: there are no published weights, or they cannot be had.
    """
    import timm

    cfg = timm.get_pretrained_cfg(name)
    source = cfg.hf_hub_id if cfg is not None else None
    if source and cfg.custom_load != "hf":
        return _fetch_from_hub(name, source, cfg.hf_hub_filename, owner)
    if cfg is not None and cfg.url and not cfg.custom_load:
        return str(cfg.url)
    raise WeightsError(f"{owner}: pretrained=True: timm has no published weights for {name}",
                       hint=f"{_SUGGESTION}, or pretrained=False")


def _fetch_from_hub(name: str, repository: str, filename: str | None, owner: str) -> str:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repository, _, revision = repository.partition("@")
    repo_args: dict[str, Any] = {"repo_id": repository, "revision": revision or None}
    files = (filename,) if filename else _WEIGHT_FILES
    for file in files:
        cached = huggingface_hub.try_to_load_from_cache(filename=file, **repo_args)
        if isinstance(cached, str):
            return cached
    try:
        _check_reachable(huggingface_hub.hf_hub_url(filename=files[0], **repo_args))
        for file in files:
            try:
                return str(huggingface_hub.hf_hub_download(filename=file, **repo_args))
            except EntryNotFoundError as error:
                if isinstance(error, LocalEntryNotFoundError):  # no network after all
                    raise
        raise FileNotFoundError(f"none of {', '.join(files)} is there")
    # Of the network's many ways to fail, each is the same to who waits for weights.
    except Exception as error:
        logger.debug("the weights of %s could not be fetched", name, exc_info=error)
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(
            f"{owner}: pretrained=True: the weights of {name} could not be fetched from "
            f"{repository} ({type(error).__name__}: {reason})",
            hint=_SUGGESTION,
        ) from error


def _check_reachable(url: str) -> None:
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    get_session().head(url, timeout=_TIMEOUT_S)
