"""Download the pretrained weights of timm's models from the Hugging Face hub, with cache."""

from __future__ import annotations

from detkit.checkpoints.hub import fetch_from_hub
from detkit.errors import WeightsError

_SUGGESTION = "load a local file instead: init_cfg=dict(type='Pretrained', checkpoint=FILE)"


def fetch_pretrained(name: str, owner: str = "TimmBackbone") -> str:
    """Get the path of a model's pretrained weights, downloading them if they are not cached.

    For a few models it returns a URL outside the hub, for ``load_checkpoint``.

    Args:
        name: of timm's model, with or without a tag of pretrained weights.
        owner: the class that needs it, for messages.

    Raises:
        WeightsError: there are no pretrained weights, or the download fails.
    """
    import timm

    cfg = timm.get_pretrained_cfg(name)
    source = cfg.hf_hub_id if cfg is not None else None
    if source and cfg.custom_load != "hf":
        try:
            return str(fetch_from_hub(source, cfg.hf_hub_filename))
        except WeightsError as error:
            raise WeightsError(f"{owner}: pretrained=True: the weights of {name} {error.message}",
                               hint=_SUGGESTION) from error
    if cfg is not None and cfg.url and not cfg.custom_load:
        return str(cfg.url)
    raise WeightsError(f"{owner}: pretrained=True: timm has no pretrained weights for {name}",
                       hint=f"{_SUGGESTION}, or pretrained=False")
