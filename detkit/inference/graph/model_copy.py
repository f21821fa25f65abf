"""A copy of a detector that shares its weights, and whose layers can be replaced."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from torch import nn

from detkit.inference.graph.exportable_deform_conv import make_exportable

Model = TypeVar("Model", bound=nn.Module)


def copy_sharing_weights(model: Model) -> Model:
    """A copy in eval mode that shares weights and buffers, with layers that exporters support.

    Its weights do not require gradients, and gradient checkpointing is off. ``model`` is not
    changed.
    """
    # deepcopy does not copy the objects in its memo.
    memo: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    for weight in model.parameters():
        memo[id(weight)] = nn.Parameter(weight.detach(), requires_grad=False)
    model_copy = copy.deepcopy(model, memo)
    make_exportable(model_copy)
    for module in model_copy.modules():
        if getattr(module, "with_cp", False):
            setattr(module, "with_cp", False)
    return model_copy.eval()
