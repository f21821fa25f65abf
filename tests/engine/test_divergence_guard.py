"""DivergenceGuard in single steps of a model with one weight."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from detkit.checkpoints.nonfinite import nonfinite_names
from detkit.checkpoints.publish_model import publish_model
from detkit.engine.divergence import DivergenceGuard, ensure_finite_state
from detkit.engine.load_model import load_state_dict_strict
from detkit.engine.optim.amp import AmpOptimWrapper
from detkit.engine.runner import DetRunner
from detkit.errors import DivergedError, WeightsError
from detkit.structures.data_sample import DataSample

NAN, INF = float("nan"), float("inf")


class Toy(BaseModel):  # type: ignore[misc]
    """A model with one weight w, initially 2; its losses are ``lossfn(w * input)``."""

    def __init__(self, losses: Any) -> None:
        super().__init__()
        self.scale = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.scale.weight, 2.0)
        self.losses = losses

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "loss") -> Any:
        return self.losses(self.scale(inputs.reshape(-1, 1)))


def _runner(folder: Path, losses: Any, wrapper: Any = OptimWrapper, **options: Any) -> Any:
    model = Toy(losses)
    optim = wrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **options)
    return SimpleNamespace(model=model, optim_wrapper=optim, hooks=[], iter=0, seed=0, rank=0,
                           work_dir=str(folder), message_hub=MessageHub("toy"))


def _batch(*values: float) -> dict[str, Any]:
    samples = [DataSample(metainfo={"img_path": f"{value}.jpg"}) for value in values]
    return {"inputs": torch.tensor(values), "data_samples": samples}


def _weight(runner: Any) -> float:
    return float(runner.model.scale.weight.detach())


def _steps(runner: Any, *batches: dict[str, Any]) -> None:
    guard = DivergenceGuard(runner)
    with guard.monitor_steps():
        for batch in batches:
            guard.train_step(batch)


def test_guard_does_not_change_finite_steps(tmp_path: Path) -> None:
    runner = _runner(tmp_path, lambda y: {"loss": y.sum()})
    _steps(runner, _batch(1.0), _batch(3.0))
    assert _weight(runner) == pytest.approx(2.0 - 0.1 * 1 - 0.1 * 3)


def test_nonfinite_loss_is_named_and_changes_no_weight(tmp_path: Path) -> None:
    runner = _runner(tmp_path, lambda y: {"loss_a": y.sum(), "loss_b": [y.sum(), y.log().sum()]})
    with pytest.raises(DivergedError, match=r"loss_b = nan.*images of the batch: -1\.0\.jpg") as e:
        _steps(runner, _batch(-1.0))
    assert "loss_a" not in str(e.value) and _weight(runner) == 2.0


def test_logged_value_may_be_nan(tmp_path: Path) -> None:
    runner = _runner(tmp_path, lambda y: {"loss": y.sum(), "acc": y.sum() * NAN})
    _steps(runner, _batch(1.0))
    assert _weight(runner) == pytest.approx(1.9)


@pytest.mark.parametrize(
    "losses",
    [
        # The square root at 0 is 0 with an infinite derivative; 0 times that is NaN.
        lambda y: {"loss": (y - 2).square().sum().sqrt()},
        lambda y: {"loss": (y - 2).sqrt().sum()},
    ],
    ids=["NaN", "infinite"],
)
def test_nonfinite_gradient_changes_no_weight(tmp_path: Path, losses: Any) -> None:
    runner = _runner(tmp_path, losses)
    with pytest.raises(DivergedError, match=r"the gradients.*1\.0\.jpg"):
        _steps(runner, _batch(1.0))
    assert _weight(runner) == 2.0


def test_accumulated_step_is_checked_before_the_update(tmp_path: Path) -> None:
    runner = _runner(tmp_path, lambda y: {"loss": y.sum()}, accumulative_counts=2)
    with pytest.raises(DivergedError, match=r"loss = nan.*: nan\.jpg"):
        _steps(runner, _batch(1.0), _batch(1.0), _batch(NAN))
    assert _weight(runner) == pytest.approx(1.9)


def test_error_caused_by_nan_is_reported_and_others_pass_unchanged(tmp_path: Path) -> None:
    def assigner(y: Tensor) -> Any:
        assert y.isfinite().all() and y.sum() != 6, "cost matrix is invalid"
        return {"loss": y.sum()}

    runner = _runner(tmp_path, assigner)
    with pytest.raises(DivergedError, match="first in the output of scale.*3e\\+38.jpg"):
        _steps(runner, _batch(3e38))
    with pytest.raises(AssertionError, match="cost matrix"):
        _steps(_runner(tmp_path, assigner), _batch(3.0))


def _scaled(folder: Path, loss_scale: float | None, losses: Any) -> Any:
    """Simulates float16 on a CPU: a GradScaler, dynamic from 1024 or fixed."""
    runner = _runner(folder, losses, AmpOptimWrapper)
    scaler = torch.amp.GradScaler("cpu", init_scale=loss_scale or 1024.0)
    runner.optim_wrapper.loss_scaler = scaler
    runner.optim_wrapper._scale_update_param = loss_scale
    return runner


def _overflowing(limit: float, squared: bool = False) -> Any:
    """A loss whose scaled gradient is infinite from ``limit`` on, as in float16.

    It is 1 without the scale, or with ``squared`` the input times the weight.
    """
    class Gate(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, y: Tensor) -> Tensor:
            return y.clone()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            return torch.where(grad.abs() >= limit, INF, grad)

    return lambda y: {"loss": (Gate.apply(y.float()) * (y.detach() if squared else 1)).sum()}


def test_overflows_during_scale_search_are_allowed(tmp_path: Path) -> None:
    # Scales 1024, 512 and 256 overflow, 128 does not: three steps are skipped.
    runner = _scaled(tmp_path, None, _overflowing(200))
    _steps(runner, *[_batch(1.0)] * 4)
    assert _weight(runner) == pytest.approx(1.9, abs=1e-2)


def test_overflows_at_the_minimum_scale_end_the_training(tmp_path: Path) -> None:
    runner = _scaled(tmp_path, None, _overflowing(0))
    with pytest.raises(DivergedError, match="the gradients.*steps in a row"):
        _steps(runner, *[_batch(1.0)] * 20)
    assert _weight(runner) == 2.0


def test_ten_consecutive_overflows_at_a_fixed_scale_end_the_training(
    tmp_path: Path
) -> None:
    runner = _scaled(tmp_path, 512.0, _overflowing(600))
    _steps(runner, _batch(1.0), _batch(1.0))
    runner = _scaled(tmp_path, 512.0, _overflowing(400))
    guard = DivergenceGuard(runner)
    with guard.monitor_steps():
        for _ in range(9):
            guard.train_step(_batch(1.0))
        with pytest.raises(DivergedError, match="10 steps in a row"):
            guard.train_step(_batch(1.0))
    assert _weight(runner) == 2.0


@pytest.mark.parametrize("fused", [False, True])
def test_finite_step_resets_the_overflow_count(tmp_path: Path, fused: bool) -> None:
    # The scaled gradient is 512 * 2 * input: it overflows for 4, not for 0.1.
    runner = _scaled(tmp_path, 512.0, _overflowing(600, squared=True))
    runner.optim_wrapper.optimizer = torch.optim.SGD(runner.model.parameters(), lr=1e-4,
                                                     fused=fused)
    _steps(runner, *[_batch(4.0)] * 9, _batch(0.1), *[_batch(4.0)] * 9)
    with pytest.raises(DivergedError, match="10 steps in a row"):
        _steps(runner, *[_batch(4.0)] * 10)


def test_finite_gradients_with_infinite_squares_are_allowed(tmp_path: Path) -> None:
    runner = _runner(tmp_path, lambda y: {"loss": y.sum() * 1e30})
    _steps(runner, _batch(1.0))
    assert _weight(runner) == pytest.approx(-1e29, rel=1e-5)


def test_negative_infinity_is_not_reported_as_cause(tmp_path: Path) -> None:
    class Masked(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return torch.cat([y.flatten(), torch.tensor([-INF])])

    runner = _runner(tmp_path, None)
    runner.model.masked = Masked()

    def losses(y: Tensor) -> Any:
        raise RuntimeError(f"shapes differ: {runner.model.masked(y).shape}")

    runner.model.losses = losses
    with pytest.raises(RuntimeError, match="shapes differ"):
        _steps(runner, _batch(1.0))


def test_code_error_passes_unchanged_despite_infinity(tmp_path: Path) -> None:
    def losses(y: Tensor) -> Any:
        raise TypeError("unexpected keyword 'foo'")

    with pytest.raises(TypeError, match="foo"):
        _steps(_runner(tmp_path, losses), _batch(INF))


def test_list_batch_has_no_image_names(tmp_path: Path) -> None:
    class Listed(Toy):
        def train_step(self, data: Any, optim_wrapper: Any) -> Any:
            optim_wrapper.update_params(self(data[0])["loss"])

    runner = _runner(tmp_path, lambda y: {"loss": y.sum() * NAN})
    runner.model.__class__ = Listed
    with pytest.raises(DivergedError, match="loss = nan") as caught:
        _steps(runner, [torch.ones(3), torch.ones(3)])  # type: ignore[arg-type]
    assert "images of the batch" not in str(caught.value)


@pytest.mark.parametrize("value", [INF, NAN], ids=["infinite", "NaN"])
def test_only_running_statistics_of_buffers_are_checked(tmp_path: Path, value: float) -> None:
    runner = _runner(tmp_path, None)
    runner.hooks = [SimpleNamespace(ema_model=nn.BatchNorm1d(1)), SimpleNamespace(ema_model=3)]
    runner.model.register_buffer("best", torch.tensor(value))
    runner.model.norm = nn.BatchNorm1d(1)
    ensure_finite_state(runner)
    weights = runner.model.state_dict()
    load_state_dict_strict(runner.model, weights, "a.pth")
    torch.save({"state_dict": weights, "meta": {}}, tmp_path / "a.pth")
    publish_model(tmp_path / "a.pth", tmp_path, runner.model)
    runner.model.norm.running_var.fill_(value)
    with pytest.raises(DivergedError, match=r"norm\.running_var"):
        ensure_finite_state(runner)
    with pytest.raises(WeightsError, match=r"norm\.running_var"):
        load_state_dict_strict(runner.model, runner.model.state_dict(), "a.pth")
    runner.model.norm.running_var.fill_(1.0)
    runner.hooks[0].ema_model.weight.data.fill_(value)
    with pytest.raises(DivergedError, match="weight of the averaged weights"):
        ensure_finite_state(runner)


def test_main_process_may_save_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = DetRunner.__new__(DetRunner)
    toy = _runner(tmp_path, None)
    vars(runner).update(model=toy.model, optim_wrapper=toy.optim_wrapper, _hooks=[])
    monkeypatch.setattr("detkit.engine.divergence.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda *_: pytest.fail("waits for others"))
    monkeypatch.setattr(Runner, "save_checkpoint",
                        lambda self, folder, name: Path(folder, name).write_bytes(b"all"))
    runner.save_checkpoint(str(tmp_path), "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == b"all"


@pytest.mark.parametrize(
    ("tensors", "names"),
    [
        ({}, []),
        ({"empty": torch.ones(0), "count": torch.tensor(3), "text": "nan"}, []),
        ({"large": torch.full((9,), 3e38), "half": torch.full((9,), 6e4, dtype=torch.half)}, []),
        ({"a": torch.ones(2), "b": torch.tensor([1, NAN]), "c": torch.tensor(-INF)}, ["b", "c"]),
    ],
    ids=["none", "nothing to check", "large numbers", "NaN and infinity"],
)
def test_nonfinite_tensors_are_named(tensors: dict, names: list[str]) -> None:
    assert nonfinite_names(tensors.items()) == names
