"""The process-wide settings of a run: log, checkpoint loading, device and threads."""

from __future__ import annotations

import logging
import sys

from detkit.checkpoints.mmengine_loaders import register_checkpoint_loaders
from detkit.engine.devices import set_cpu_threads, set_device
from detkit.registry import import_mmdet
from detkit.text import printable
from detkit.trust import force_weights_only

_STDERR_HANDLER = logging.StreamHandler()


def setup_process(device: str, launcher: str) -> str:
    """Set the log, the checkpoint loaders, the device and the number of threads of this process.

    Args:
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        launcher: 'none' for a run of one process.

    Returns:
        The device type, 'cpu' or 'cuda'.

    Raises:
        DetkitError: there is no such device.
    """
    _log_to_stderr()
    force_weights_only()
    register_checkpoint_loaders()
    import_mmdet()
    device_type = set_device(device)
    set_cpu_threads(device_type, single_process=launcher == "none")
    return device_type


class _PrintableFormatter(logging.Formatter):
    """Escapes control characters, which names of files and classes may contain."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def _log_to_stderr() -> None:
    """Log detkit's messages to stderr, unless the program has its own handlers."""
    detkit_logger = logging.getLogger("detkit")
    if not detkit_logger.handlers and not logging.getLogger().handlers:
        _STDERR_HANDLER.setFormatter(_PrintableFormatter("%(message)s"))
        detkit_logger.addHandler(_STDERR_HANDLER)
        detkit_logger.setLevel(logging.INFO)
    # sys.stderr may have been replaced. Not setStream: it flushes the old stream, maybe closed.
    _STDERR_HANDLER.stream = sys.stderr
