"""Mixed precision that also works on a CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper as mmengine_amp

from detkit.errors import ConfigError
from detkit.registry import OPTIM_WRAPPERS

_DTYPES = ("float16", "bfloat16", "auto")
_ISAS_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE",
                      "AVX512_CORE_VNNI")


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(mmengine_amp.AmpOptimWrapper):  # type: ignore[misc]
    """mmengine's wrapper of the same name, which also supports CPUs.

    Args:
        loss_scale: 'dynamic', a float > 0, or arguments of torch's GradScaler; used for float16 on
            a GPU only.
        dtype: 'float16' or 'bfloat16'. None is float16 on a GPU and bfloat16 on a CPU. 'auto' is
            bfloat16 if the device has instructions for it, otherwise float16 on a GPU and float32
            on a CPU, which would only emulate bfloat16.
        **kwargs: arguments of mmengine's OptimWrapper.

    Raises:
        ConfigError: the dtype is float16 on a CPU, or another one.
    """

    def __init__(
        self,
        loss_scale: str | float | dict[str, Any] = "dynamic",
        dtype: str | torch.dtype | None = None,
        **kwargs: Any,
    ) -> None:
        self._device = get_device()
        name = str(dtype).removeprefix("torch.") if dtype is not None else None
        if name is not None and name not in _DTYPES:
            raise ConfigError("optim_wrapper.dtype", got=name, expected=" or ".join(_DTYPES))
        supports_bf16 = is_bf16_supported(self._device)
        self._cast = name != "auto" or supports_bf16 or self._device != "cpu"
        if name == "auto":
            name = "bfloat16" if supports_bf16 else None
        if self._device == "cuda" and name != "bfloat16":
            super().__init__(loss_scale=loss_scale, dtype=name, **kwargs)
            return
        if name == "float16":
            raise ConfigError(
                "optim_wrapper.dtype", got=f"float16 on {self._device}", expected="bfloat16",
                hint="remove dtype: the default depends on the device",
            )
        OptimWrapper.__init__(self, **kwargs)
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler(self._device, enabled=False)
        self.cast_dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """Autocast the forward pass; no gradient sync between processes while accumulating."""
        with OptimWrapper.optim_context(self, model):
            with torch.autocast(self._device, dtype=self.cast_dtype, enabled=self._cast):
                yield


def is_bf16_supported(device: str) -> bool:
    """Whether the device has instructions for bfloat16 and, on a CPU, oneDNN may use them."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    if device != "cpu" or not onednn_allows_bf16():
        return False
    # torch's functions for this are private; if they are missing, the result is False.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in probes)


def onednn_allows_bf16() -> bool:
    """Whether the environment variable ONEDNN_MAX_CPU_ISA allows instructions for bfloat16.

    Source: oneDNN documentation, "CPU Dispatcher Control".
    """
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() not in _ISAS_WITHOUT_BF16
