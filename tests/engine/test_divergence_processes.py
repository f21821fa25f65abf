"""If one process of a distributed training diverges, all end with the same error."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow
NAN = float("nan")


def _loss(y: Any) -> dict[str, Any]:
    # NaN if y is, but with a gradient of 0, so that the other process does not get it.
    return {"loss_a": y.nan_to_num().sum(), "loss_b": y.detach().sum()}


def _train_rank(rank: int, folder: str, bad_step: int) -> None:
    import torch.distributed as dist
    from mmengine.logging import MessageHub
    from mmengine.model import MMDistributedDataParallel
    from mmengine.optim import OptimWrapper
    from test_divergence_guard import Toy, _batch

    from detkit.engine.divergence import DivergenceGuard
    from detkit.errors import DivergedError

    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model = MMDistributedDataParallel(Toy(_loss))
    optim = OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
                         accumulative_counts=2)
    runner = SimpleNamespace(model=model, optim_wrapper=optim, hooks=[], iter=0, seed=0, rank=rank,
                             work_dir=folder, message_hub=MessageHub("toy"))
    guard = DivergenceGuard(runner)
    message = "no error"
    with guard.monitor_steps():
        for step in range(1, 5):
            bad = rank == 1 and step == bad_step
            try:
                guard.train_step(_batch(NAN if bad else 1.0))
            except DivergedError as error:
                message = f"step {step}: {error}"
                break
    Path(folder, f"rank{rank}").write_text(message)
    dist.destroy_process_group()


@pytest.mark.parametrize("bad_step", [3, 4], ids=["while gathering", "at an update"])
def test_both_processes_end_with_the_same_error(tmp_path: Path, bad_step: int) -> None:
    started = torch.multiprocessing.start_processes(
        _train_rank, (str(tmp_path), bad_step), nprocs=2, join=False, start_method="spawn")
    try:
        while not started.join(timeout=200):
            pass
    finally:
        for process in started.processes:
            if process.is_alive():
                process.kill()
    first, second = ((tmp_path / f"rank{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert first.startswith(f"step {bad_step}: ")
    assert "loss_b = nan" in first and "nan.jpg" in first
