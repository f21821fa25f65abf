"""Errors for users, and messages for failures of memory, disks and processes."""

from __future__ import annotations

import re

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory",
                  "not enough memory", "bad_alloc", "alloc_failed", "outofmemory")
# Messages of gloo, which has no error class, for a lost connection to another process.
_CONNECTION_LOST = re.compile(r"connection (closed|reset) by peer|/gloo/transport/", re.IGNORECASE)
_WORKER_EXIT = re.compile(r"DataLoader worker \(pid.*?\) (?:is killed by signal: ([\w ]+)|exited)")
_MAX_MESSAGE_CHARS = 160


class DetkitError(Exception):
    """An error that the user can correct. The commands print it as one line, exit code 2.

    Args:
        message: what is wrong and where (file, key path, annotation id).
        got: the actual value; omitted from the message if None.
        expected: the valid values; omitted if None.
        hint: what the user can do; omitted if None.
    """

    def __init__(
        self,
        message: str,
        *,
        got: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.got = got
        self.expected = expected
        self.hint = hint
        super().__init__(self._message())

    def _message(self) -> str:
        message = self.message
        details = []
        if self.got is not None:
            details.append(f"got {self.got}")
        if self.expected is not None:
            details.append(f"expected {self.expected}")
        if details:
            message += ": " + ", ".join(details)
        if self.hint is not None:
            message += f"; {self.hint}"
        return " ".join(message.split())


class ConfigError(DetkitError):
    """A config has an unknown name or an invalid value, or does not match the data."""


class DataError(DetkitError):
    """Images or annotations are invalid."""


class WeightsError(DetkitError):
    """A checkpoint cannot be read, or does not match the model."""


class DivergedError(DetkitError):
    """Training stopped because a loss, a gradient or a weight became NaN or infinite."""


class VideoError(DetkitError):
    """A video cannot be read or written."""


class MissingExtraError(DetkitError):
    """An optional library is required and not installed.

    Args:
        library: the import name of the library.
        extra: the extra of detkit that installs it.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"this requires the library '{library}', which is not installed",
            hint=f"run: pip install 'detkit[{extra}]'",
        )


class ExportError(DetkitError):
    """A model cannot be exported, or an engine cannot run on this machine."""


def format_error(error: BaseException) -> str:
    """Return the class and the message of ``error`` in one line; the class alone without one."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` reports that CPU or GPU memory was exhausted."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def describe_system_failure(error: BaseException) -> str | None:
    """Return a message for a failure of memory, a file, a disk or another process; else None.

    Such a failure is not caused by the config or by the code that raised it.
    """
    message = " ".join(strip_worker_traceback(str(error)).split())
    if len(message) > _MAX_MESSAGE_CHARS:
        message = message[:_MAX_MESSAGE_CHARS] + "..."
    if is_out_of_memory(error):
        message = message.partition(". ")[0]
        return ("out of memory; use a smaller batch size, smaller images or a smaller model"
                + (f" ({message})" if message else ""))
    worker = _WORKER_EXIT.search(str(error))
    if worker is not None:
        return _worker_exit_message(worker[1])
    # torch's class, by name: this module must not import torch.
    is_dist_error = any(cls.__name__ == "DistError" for cls in type(error).__mro__)
    if is_dist_error or isinstance(error, ConnectionError) or (
            type(error) is RuntimeError and _CONNECTION_LOST.search(message)):
        return ("the connection to another process or server was lost or refused"
                + (f" ({message})" if message else "") + "; see its messages for the cause")
    if isinstance(error, OSError):
        if error.filename is not None:
            return f"{error.filename}: {error.strerror or message}"
        # torch recreates an error of a dataloader worker from its message alone.
        return message if error.errno is None and "[Errno" in message else error.strerror
    if type(error) is RuntimeError and "No space left on device" in message:
        return message
    if type(error) is RuntimeError and "PytorchStreamWriter failed" in message:
        return f"a file cannot be written; check the free disk space ({message})"
    return None


def _worker_exit_message(signal: str | None) -> str:
    """The message for a dead dataloader worker; ``signal`` is None if it was not killed."""
    if signal is not None and signal.strip() == "Bus error":
        return ("a dataloader worker was killed by a bus error: the shared memory is probably "
                "exhausted; give the container more (docker run --shm-size), or reduce "
                "train_dataloader.num_workers")
    if signal is None or signal.strip() == "Killed":
        event = "exited unexpectedly" if signal is None else "was killed"
        return (f"a dataloader worker {event}: the memory is probably exhausted; reduce "
                "train_dataloader.num_workers or train_dataloader.batch_size")
    return (f"a dataloader worker was killed ({signal.strip()}); set "
            "train_dataloader.num_workers=0 to see the cause")


def strip_worker_traceback(message: str) -> str:
    """Return the error of a dataloader worker with its location, from a message with a traceback.

    torch puts the worker's traceback into the message; other messages are returned unchanged. An
    error of detkit gets no location.
    """
    if "Original Traceback" not in message:
        return message
    _, separator, last = message.rpartition("detkit.errors.")
    if separator and "Traceback" not in last:
        return last.partition("Error: ")[2].strip()
    locations = re.findall(r'File ".*?([^"/]+)", line (\d+)', message)
    location = " at {}:{}".format(*locations[-1]) if locations else ""
    return f"{message.strip().splitlines()[-1]} (in a dataloader worker{location})"
