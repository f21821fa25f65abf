"""Which device a run uses, its threads, and the processes that share it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine.config import Config

from detkit.errors import DetkitError


def use_device(device: str) -> str:
    """Make ``device`` the one that mmengine and torch see from now on, and return its kind.

    Args:
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        DetkitError: another word, or a CUDA device that is not there.
    """
    import mmengine.device.utils
    import torch

    kind, index = check_device(device)
    if kind == "auto":
        return str(mmengine.device.utils.get_device())
    if kind == "cuda":
        torch.cuda.set_device(index)
    # mmengine finds its device out once, at import, and has no way to be told another.
    mmengine.device.utils.DEVICE = kind
    return kind


def check_device(device: str) -> tuple[str, int]:
    """The kind of ``device``, and its number among the CUDA devices, 0 where none is said.

    Raises:
        DetkitError: a word that is none of ours, or a CUDA device that is not there.
    """
    import torch

    kind, colon, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and (kind != "cuda" or not index.isdigit())):
        raise DetkitError("--device", got=f"'{device}'", expected="auto, cpu, cuda or cuda:N")
    number = int(index or 0)
    if kind == "cuda" and number >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DetkitError("--device", got=f"'{device}'",
                          expected=f"one of the {count} CUDA devices that torch sees")
    return kind, number


def set_threads(device: str) -> None:
    """Share the CPU's cores among the processes of a run, unless OMP_NUM_THREADS is set.

    torch counts the machine's cores, not those that a container may use; threads beyond them
    wait for each other.
    """
    import torch

    if device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(min(torch.get_num_threads(), cores()) // processes, 1))


def cores() -> int:
    """How many cores this process may use, at least 1: the fewer of affinity and quota."""
    usable = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        limit, _, period = quota.read_text().partition(" ")
        if limit.isdigit() and period.strip().isdigit():
            usable = min(usable, -(-int(limit) // int(period)))
    return max(usable, 1)


def start_processes(launcher: str, cfg: Config, device: str) -> None:
    """Join this process to the others of a distributed run; nothing for launcher 'none'.

    On CPUs the processes talk through gloo, whatever the config says: nccl wants GPUs.

    Raises:
        DetkitError: the launcher's environment is not there.
    """
    import torch.distributed
    from mmengine.dist import init_dist, init_local_group

    if launcher == "none" or torch.distributed.is_initialized():
        return
    if launcher == "pytorch" and "LOCAL_RANK" not in os.environ:
        raise DetkitError(
            "--launcher pytorch", got="no LOCAL_RANK in the environment",
            do="start it as: torchrun --nproc-per-node N tools/train.py CONFIG --launcher pytorch",
        )
    options: dict[str, Any] = dict(cfg.get("env_cfg", {}).get("dist_cfg", {}))
    if device == "cpu":
        if launcher != "pytorch":
            raise DetkitError(f"--launcher {launcher}", got="no GPU", expected="--launcher pytorch")
        torch.distributed.init_process_group("gloo")
        local = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
        init_local_group(int(os.environ.get("GROUP_RANK", "0")), local)
        return
    init_dist(launcher, **options)
