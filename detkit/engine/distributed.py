"""The processes of a distributed run: joining them, and work that one does for all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

from detkit.errors import DetkitError

T = TypeVar("T")


def init_process_group(
    launcher: str, env_cfg: Mapping[str, Any] | None, device_type: str
) -> None:
    """Join the process group of a distributed run; does nothing for launcher 'none'.

    Args:
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        env_cfg: the config's ``env_cfg``; its ``dist_cfg`` has arguments of torch's
            ``init_process_group``. Not used on CPUs, which always communicate over gloo, because
            nccl needs GPUs.
        device_type: 'cpu' or 'cuda'.

    Raises:
        DetkitError: the environment variables of the launcher are missing, or a launcher other
            than 'pytorch' is used on CPUs.
    """
    import torch.distributed
    from mmengine.dist import init_dist, init_local_group

    if launcher == "none" or torch.distributed.is_initialized():
        return
    if launcher == "pytorch" and "LOCAL_RANK" not in os.environ:
        raise DetkitError(
            "--launcher pytorch", got="no LOCAL_RANK in the environment", hint="start it with "
            "torchrun --nproc-per-node N tools/train.py CONFIG --launcher pytorch",
        )
    if device_type != "cpu":
        init_dist(launcher, **((env_cfg or {}).get("dist_cfg") or {}))
        return
    if launcher != "pytorch":
        raise DetkitError(f"--launcher {launcher}", got="no GPU", expected="--launcher pytorch")
    torch.distributed.init_process_group("gloo")
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    init_local_group(int(os.environ.get("GROUP_RANK", "0")), local_size)


def run_on_main_process(fn: Callable[[], T]) -> T:
    """Call ``fn`` in the main process only, and return its result in all processes.

    An exception of ``fn`` is raised in all processes too; otherwise the others would wait forever.
    """
    outcome: list[Any] = [None]
    if is_main_process():
        try:
            outcome[0] = fn()
        except Exception as error:
            outcome[0] = error
    broadcast_object_list(outcome)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    result: T = outcome[0]
    return result
