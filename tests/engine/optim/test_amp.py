"""Mixed precision trains on a CPU in bfloat16, and refuses what a CPU cannot do."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from torch import nn

from detkit.config.overrides import turn_on_amp
from detkit.engine.optim.amp import AmpOptimWrapper, allows_bf16, computes_in_bf16
from detkit.errors import ConfigError

cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason="this is about a machine's CPU")


@cpu_only
def test_a_step_casts_the_forward_and_updates_float32_weights() -> None:
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
    # The gradient's norm is clipped to 1, so the step is 0.1 long; the bias takes its part of it.
    assert 0 < float((model.weight.detach() - before).norm()) <= 0.1001
    wrapper.load_state_dict(wrapper.state_dict())


@cpu_only
@pytest.mark.parametrize("dtype", ["float16", torch.float16, "int8"])
def test_another_dtype_is_refused(dtype: str | torch.dtype) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ConfigError, match="optim_wrapper.dtype"):
        AmpOptimWrapper(optimizer=optimizer, dtype=dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(None, torch.float16), ("float16", torch.float16), ("bfloat16", torch.bfloat16)],
)
def test_a_gpu_casts_to_what_is_asked(dtype: str | None, expected: torch.dtype) -> None:
    model = nn.Linear(4, 2).cuda()
    wrapper = AmpOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1), dtype=dtype)
    with wrapper.optim_context(model):
        out = model(torch.ones(3, 4, device="cuda"))
    assert out.dtype == expected
    wrapper.update_params(out.float().sum())
    assert torch.isfinite(model.weight).all()


def test_asking_for_amp_is_not_undone_by_a_config_that_leaves_it_to_the_processor() -> None:
    cfg = Config(dict(optim_wrapper=dict(type="AmpOptimWrapper", dtype="auto")))
    turn_on_amp(cfg)
    assert cfg.optim_wrapper == {"type": "detkit.AmpOptimWrapper"}


@pytest.mark.parametrize(("isa", "allowed"), [
    (None, True), ("", True), ("ALL", True), ("AVX512_CORE_BF16", True), ("avx512_core_amx", True),
    ("AVX512_CORE", False), ("avx2", False), ("SSE41", False),
])
def test_a_limit_on_onednn_s_instructions_is_heeded(
    isa: str | None, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isa is None:
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    else:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    assert allows_bf16() is allowed
    assert allowed or not computes_in_bf16("cpu")
