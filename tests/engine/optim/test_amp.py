"""Mixed precision: bfloat16 on a CPU, and rejected dtypes."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from torch import nn

from detkit.config.overrides import enable_amp
from detkit.engine.optim.amp import AmpOptimWrapper, is_bf16_supported, onednn_allows_bf16
from detkit.errors import ConfigError

cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason="this is about a machine's CPU")


@cpu_only
def test_step_autocasts_forward_and_updates_float32_weights() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    wrapper = AmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
                              clip_grad=dict(max_norm=1.0))
    with wrapper.optim_context(model):
        out = model(torch.ones(3, 4))
    assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().square().sum())
    assert model.weight.dtype == torch.float32
    # The gradient's norm is clipped to 1, so the step has length 0.1, including the bias.
    assert 0 < float((model.weight.detach() - before).norm()) <= 0.1001
    wrapper.load_state_dict(wrapper.state_dict())


@cpu_only
@pytest.mark.parametrize("dtype", ["float16", torch.float16, "int8"])
def test_unsupported_dtype_raises(dtype: str | torch.dtype) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ConfigError, match="optim_wrapper.dtype"):
        AmpOptimWrapper(optimizer=optimizer, dtype=dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(None, torch.float16), ("float16", torch.float16), ("bfloat16", torch.bfloat16)],
)
def test_gpu_autocast_uses_the_requested_dtype(dtype: str | None, expected: torch.dtype) -> None:
    model = nn.Linear(4, 2).cuda()
    wrapper = AmpOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1), dtype=dtype)
    with wrapper.optim_context(model):
        out = model(torch.ones(3, 4, device="cuda"))
    assert out.dtype == expected
    wrapper.update_params(out.float().sum())
    assert torch.isfinite(model.weight).all()


def test_amp_flag_overrides_dtype_auto() -> None:
    cfg = Config(dict(optim_wrapper=dict(type="AmpOptimWrapper", dtype="auto")))
    enable_amp(cfg)
    assert cfg.optim_wrapper == {"type": "detkit.AmpOptimWrapper"}


@pytest.mark.parametrize(("isa", "allowed"), [
    (None, True), ("", True), ("ALL", True), ("AVX512_CORE_BF16", True), ("avx512_core_amx", True),
    ("AVX512_CORE", False), ("avx2", False), ("SSE41", False),
])
def test_onednn_max_cpu_isa_disables_bf16(
    isa: str | None, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isa is None:
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    else:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    assert onednn_allows_bf16() is allowed
    assert allowed or not is_bf16_supported("cpu")
