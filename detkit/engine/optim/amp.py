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
    """mmengine's wrapper of the same name, without its refusal of a CPU.

    Args:
        loss_scale: 'dynamic', a float > 0, or arguments of torch's GradScaler; only float16 on a
            GPU scales its loss.
        dtype: 'float16' or 'bfloat16'; None is float16 on a GPU and bfloat16 on a CPU, which
            knows no other. 'auto' is bfloat16 where the processor computes in it, and otherwise
            float16 on a GPU and plain float32 on a CPU, which would only emulate it.
        **kwargs: arguments of mmengine's OptimWrapper.

    Raises:
        ConfigError: float16 on a CPU, or another dtype.
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
                hint="leave dtype out, and the device decides",
            )
        OptimWrapper.__init__(self, **kwargs)
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler(self._device, enabled=False)
        self.cast_dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """Cast the forward pass, and hold back gradients while they are accumulated."""
        with OptimWrapper.optim_context(self, model):
            with torch.autocast(self._device, dtype=self.cast_dtype, enabled=self._cast):
                yield


def is_bf16_supported(device: str) -> bool:
    """Whether the processor has instructions for bfloat16, and oneDNN may use them."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    if device != "cpu" or not onednn_allows_bf16():
        return False
    # torch asks the processor and keeps the answers private; without them the answer is no.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in probes)


def onednn_allows_bf16() -> bool:
    """Whether ONEDNN_MAX_CPU_ISA, where it is set, lets oneDNN use instructions for bfloat16.

    Source: oneDNN's documentation of "CPU Dispatcher Control".
    """
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() not in _ISAS_WITHOUT_BF16
