"""Learning rates that shrink towards the image, so that pretrained first layers change least."""

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
    """mmengine's constructor with the backbone's learning rates decayed by depth.

    A backbone tells of each parameter its depth and how many depths there are: 0 is the stem,
    then comes a depth for each block, and the last is what stands behind them. The learning rate is
    multiplied by ``decay_rate ** (depths - 1 - depth)``. All else keeps the full rate. What other
    keys of ``paramwise_cfg`` make of a learning rate is multiplied in the same way.

    Args:
        optim_wrapper_cfg: the config's ``optim_wrapper``, whose optimizer has an ``lr``.
        paramwise_cfg: ``decay_rate``, above 0 and at most 1 (1 decays nothing), and any key of
            mmengine's DefaultOptimWrapperConstructor.

    Raises:
        ConfigError: the optimizer has no ``lr``, or ``decay_rate`` is missing or out of range.
            When it is called: the model has no backbone that tells depths.

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
                              expected="the learning rate that is to be decayed")
        self.decay_rate = float(rate)

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = "",
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Append a group for each parameter of ``module``; decayed, once the model is whole."""
        super().add_params(params, module, prefix, is_dcn_module)
        # mmengine's calls this again for every child, with the child's name.
        if not prefix:
            self._decay(params, module)

    def _decay(self, params: list[dict[str, Any]], model: nn.Module) -> None:
        backbone: Any = getattr(model, "backbone", None)
        if not hasattr(backbone, "get_layer_depth"):
            problem = "no backbone" if backbone is None else f"{type(backbone).__name__} without it"
            raise ConfigError(
                "optim_wrapper.constructor LearningRateDecayOptimWrapperConstructor asks the model's "
                "backbone for the depth of each parameter", got=problem,
                expected="a backbone with get_layer_depth, as all of detkit's have",
                hint="use another backbone, or leave constructor and decay_rate out",
            )
        names = {id(weight): name for name, weight in model.named_parameters()}
        rates = {}
        for group in params:
            name = names[id(group["params"][0])]
            if name.startswith("backbone."):
                depth, depths = backbone.get_layer_depth(name, "backbone.")
                factor = self.decay_rate ** (depths - 1 - depth)
                group["lr"] = group.get("lr", self.base_lr) * factor
                rates[depth] = factor
        print_log("layer decay: learning rates of the backbone by depth, of the full rate: "
                  + ", ".join(f"{depth}: {rates[depth]:.3g}" for depth in sorted(rates)),
                  logger="current")
