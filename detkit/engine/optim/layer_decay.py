"""Layer-wise learning rate decay: the early layers of the backbone get smaller rates."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from detkit.errors import ConfigError
from detkit.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningRateDecayOptimWrapperConstructor(
    DefaultOptimWrapperConstructor  # type: ignore[misc]
):
    """mmengine's default constructor, with learning rates of the backbone that decay by depth.

    The backbone's ``get_layer_depth`` returns the depth of a parameter and the number of depths:
    0 is the stem, each block has a depth, and the last depth is that of the layers after the
    blocks. The learning rate of a parameter, after the other keys of ``paramwise_cfg``, is
    multiplied by ``decay_rate ** (num_depths - 1 - depth)``. Parameters outside of the backbone
    keep the full rate.

    Args:
        optim_wrapper_cfg: the config's ``optim_wrapper``; its optimizer must have an ``lr``.
        paramwise_cfg: ``decay_rate``, above 0 and at most 1 (1: no decay), and any key of
            mmengine's DefaultOptimWrapperConstructor.

    Raises:
        ConfigError: the optimizer has no ``lr``, or ``decay_rate`` is missing or out of range. In
            the call: the model has no backbone with ``get_layer_depth``.

    Source: ELECTRA (arXiv 2003.10555), as BEiT (arXiv 2106.08254) applies it to images. The
    backbone's method ``get_layer_depth(name, prefix)`` is mmpretrain's.
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        rate = self.paramwise_cfg.get("decay_rate")
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise ConfigError("optim_wrapper.paramwise_cfg.decay_rate", got=repr(rate),
                              expected="a number above 0, at most 1")
        if self.base_lr is None:
            raise ConfigError("optim_wrapper.optimizer.lr", got="none",
                              expected="a learning rate")
        self.decay_rate = float(rate)

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = "",
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Append a group for each parameter of ``module``; decay the rates for the whole model."""
        super().add_params(params, module, prefix, is_dcn_module)
        # mmengine calls this again for every child module, with its name as prefix.
        if not prefix:
            self._decay(params, module)

    def _decay(self, params: list[dict[str, Any]], model: nn.Module) -> None:
        backbone: Any = getattr(model, "backbone", None)
        if not hasattr(backbone, "get_layer_depth"):
            raise ConfigError(
                "optim_wrapper.constructor LearningRateDecayOptimWrapperConstructor needs the "
                "depth of each parameter of the backbone",
                got="no backbone" if backbone is None else type(backbone).__name__,
                expected="a backbone with get_layer_depth, such as any of detkit's",
                hint="use another backbone, or remove constructor and decay_rate",
            )
        names = {id(weight): name for name, weight in model.named_parameters()}
        rates = {}
        for group in params:
            name = names[id(group["params"][0])]
            if name.startswith("backbone."):
                depth, num_depths = backbone.get_layer_depth(name, "backbone.")
                factor = self.decay_rate ** (num_depths - 1 - depth)
                group["lr"] = group.get("lr", self.base_lr) * factor
                rates[depth] = factor
        print_log("layer decay: factors of the backbone's learning rates by depth: "
                  + ", ".join(f"{depth}: {rates[depth]:.3g}" for depth in sorted(rates)),
                  logger="current")
