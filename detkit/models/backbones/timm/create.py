"""Create a model of timm by name; an unknown name or argument raises ConfigError.

timm is imported lazily: the import takes seconds, and most configs do not use it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from detkit.errors import ConfigError, WeightsError
from detkit.text import closest_names, name_hint

# Arguments of timm.create_model that do not apply to a backbone, with the alternative.
_UNSUPPORTED_ARGS = {
    "features_only": "the backbone always returns feature maps",
    "feature_cls": "the backbone always returns feature maps",
    "out_indices": "select levels with strides=(4, 8, 16, 32)",
    "num_classes": "the classifier is not built",
    "checkpoint_path": "set init_cfg=dict(type='Pretrained', checkpoint=FILE)",
}
# The same for TimmNetwork, which returns one vector for each image.
_UNSUPPORTED_NETWORK_ARGS = {
    **_UNSUPPORTED_ARGS,
    "features_only": "TimmBackbone gives maps",
    "feature_cls": "TimmBackbone gives maps",
    "out_indices": "TimmBackbone gives maps",
}


def check_timm_name(name: str, owner: str = "TimmBackbone") -> None:
    """Check that timm has a model of this name, such as 'resnet50' or 'resnet50.a1_in1k'.

    Args:
        name: of the model, with or without a tag of pretrained weights.
        owner: the class that needs it, for messages.

    Raises:
        ConfigError: no model of this name.
        WeightsError: the model has no weights with this tag.
    """
    import timm

    arch, _, tag = str(name).partition(".")
    if not (isinstance(name, str) and timm.is_model(arch)):
        suggestions = closest_names(arch, timm.list_models(), 3) if isinstance(name, str) else []
        raise ConfigError(
            f"{owner}: name", got=repr(name), expected="a model of timm" +
            (f"; did you mean {', '.join(suggestions)}?" if suggestions else ""),
        )
    tags = [
        pretrained_name.partition(".")[2]
        for pretrained_name in timm.models.get_arch_pretrained_cfgs(arch)
    ]
    if tag and tag not in tags:
        raise WeightsError(
            f"{owner}: {arch} has no pretrained weights with this tag",
            got=repr(tag),
            expected=f"one of {', '.join(filter(None, tags))}" if any(tags) else "no tag",
            hint="or load a local file: init_cfg=dict(type='Pretrained', checkpoint=FILE)",
        )


def create_timm_model(
    name: str, options: Mapping[str, Any], owner: str = "TimmBackbone", **extra_args: Any
) -> nn.Module:
    """Build a model of timm with random weights, without a download.

    Args:
        name: a name that passes ``check_timm_name``.
        options: the user's arguments for ``timm.create_model``.
        owner: the class that needs it, for messages.
        extra_args: more arguments for ``timm.create_model``.

    Raises:
        ConfigError: an argument that the model does not have, or an invalid value.
    """
    import timm

    for key in options:
        if key in _UNSUPPORTED_ARGS:
            raise ConfigError(
                f"{owner}: {name}: the argument '{key}' is not supported",
                hint=(_UNSUPPORTED_ARGS
                      if owner == "TimmBackbone" else _UNSUPPORTED_NETWORK_ARGS)[key])
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, **{**options, **extra_args})
    # timm's models raise errors of many types for invalid arguments.
    except Exception as error:
        match = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if match and match[1] in options:
            raise _unknown_argument(name, match[1], owner) from error
        raise ConfigError(
            f"{owner}: timm cannot build {name} with these arguments "
            f"({type(error).__name__}: {error})",
            got=", ".join(f"{key}={value!r}" for key, value in options.items()) or None,
        ) from error
    return model


def _unknown_argument(name: str, key: str, owner: str) -> ConfigError:
    import timm

    model_args = sorted(
        set(inspect.signature(type(timm.create_model(name)).__init__).parameters) -
        {"self", "kwargs", *_UNSUPPORTED_ARGS})
    wrapper_args = ["strides", "frozen_stages", "norm_eval", "with_cp"
                    ] if owner == "TimmBackbone" else []
    return ConfigError(
        f"{owner}: {name} has no argument '{key}'",
        expected=f"one of {', '.join(model_args)}",
        hint=name_hint(key, [*model_args, *wrapper_args]),
    )
