"""Which device a run uses, its threads, and the processes that share it."""

from __future__ import annotations

import os

from detkit.errors import DetkitError
from detkit.machine.cpu_limits import num_cores
from detkit.machine.threads import THREADS_ENV_VAR, initial_num_threads


def set_device(device: str) -> str:
    """Make ``device`` the one that mmengine and torch see from now on, and return its kind.

    Args:
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        DetkitError: another word, or a CUDA device that is not there.
    """
    import mmengine.device.utils
    import torch

    device_type, index = parse_device(device)
    if device_type == "auto":
        return str(mmengine.device.utils.get_device())
    if device_type == "cuda":
        torch.cuda.set_device(index)
    # mmengine finds its device out once, at import, and has no way to be told another.
    mmengine.device.utils.DEVICE = device_type
    return device_type


def parse_device(device: str) -> tuple[str, int]:
    """The kind of ``device``, and its number among the CUDA devices, 0 where none is said.

    Raises:
        DetkitError: a word that is none of ours, or a CUDA device that is not there.
    """
    import torch

    device_type, separator, index = device.partition(":")
    if device_type not in ("auto", "cpu",
                           "cuda") or (separator and
                                       (device_type != "cuda" or not index.isdigit())):
        raise DetkitError("--device", got=f"'{device}'", expected="auto, cpu, cuda or cuda:N")
    device_index = int(index or 0)
    if device_type == "cuda" and device_index >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DetkitError("--device", got=f"'{device}'",
                          expected=f"one of the {count} CUDA devices that torch sees")
    return device_type, device_index


def set_cpu_threads(device: str, single_process: bool = True) -> None:
    """Share the CPU's cores among the processes of a run, unless OMP_NUM_THREADS is set.

    torch counts the machine's cores, not those that a container may use; threads beyond them
    wait for each other. A command begins with fewer where other processes use the cores.

    Args:
        device: 'cpu' or 'cuda', which needs no threads.
        single_process: whether the run is this process; those of a distributed run keep their
            shares.
    """
    import torch

    if device == "cpu" and THREADS_ENV_VAR not in os.environ:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        num_threads = max(min(torch.get_num_threads(), num_cores()) // processes, 1)
        torch.set_num_threads(
            initial_num_threads(num_threads) if single_process and processes == 1 else num_threads)
