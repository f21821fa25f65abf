"""The device of a run, and the number of its CPU threads."""

from __future__ import annotations

import os

from detkit.errors import DetkitError
from detkit.machine.cpu_limits import num_cores
from detkit.machine.threads import THREADS_ENV_VAR, initial_num_threads


def set_device(device: str) -> str:
    """Set the device that mmengine and torch use.

    Args:
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Returns:
        The device type, 'cpu' or 'cuda'.

    Raises:
        DetkitError: ``device`` is none of these, or there is no such CUDA device.
    """
    import mmengine.device.utils
    import torch

    device_type, index = parse_device(device)
    if device_type == "auto":
        return str(mmengine.device.utils.get_device())
    if device_type == "cuda":
        torch.cuda.set_device(index)
    # mmengine determines its device once, at import, and has no function to change it.
    mmengine.device.utils.DEVICE = device_type
    return device_type


def parse_device(device: str) -> tuple[str, int]:
    """Split ``device`` into its type and its CUDA index, 0 if it has none.

    Raises:
        DetkitError: ``device`` is not 'auto', 'cpu', 'cuda' or 'cuda:N', or there is no such CUDA
            device.
    """
    import torch

    device_type, separator, index = device.partition(":")
    invalid_index = separator and (device_type != "cuda" or not index.isdigit())
    if device_type not in ("auto", "cpu", "cuda") or invalid_index:
        raise DetkitError("--device", got=f"'{device}'", expected="auto, cpu, cuda or cuda:N")
    device_index = int(index or 0)
    if device_type == "cuda" and device_index >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DetkitError("--device", got=f"'{device}'",
                          expected=f"one of the {count} CUDA devices that torch sees")
    return device_type, device_index


def set_cpu_threads(device: str, single_process: bool = True) -> None:
    """Divide the CPU cores among the processes of a run, unless OMP_NUM_THREADS is set.

    torch counts the cores of the machine, even in a container that may use fewer. A command starts
    with fewer threads if other processes use the cores.

    Args:
        device: the device type; 'cuda' leaves the threads as they are.
        single_process: False for a distributed run, whose processes keep an equal share.
    """
    import torch

    if device == "cpu" and THREADS_ENV_VAR not in os.environ:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        num_threads = max(min(torch.get_num_threads(), num_cores()) // processes, 1)
        torch.set_num_threads(
            initial_num_threads(num_threads) if single_process and processes == 1 else num_threads)
