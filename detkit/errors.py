"""The one family of errors that people see: what is wrong, got and expected, what to do.

And what to say of the errors that no one's input caused: of memory, disks and processes.
"""

from __future__ import annotations

import re

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory",
                  "not enough memory", "bad_alloc", "alloc_failed", "outofmemory")
# How gloo, which has no error class of its own, says that it lost another process.
_CONNECTION_LOST = re.compile(r"connection (closed|reset) by peer|/gloo/transport/", re.IGNORECASE)
_WORKER_EXIT = re.compile(r"DataLoader worker \(pid.*?\) (?:is killed by signal: ([\w ]+)|exited)")
_MAX_MESSAGE_CHARS = 160


class DetkitError(Exception):
    """Something a user can mend. The command line prints it as one line and exits with code 2.

    Args:
        message: the thing that is wrong and where it stands (file, key path, annotation id).
        got: the value that was found; left out of the message when None.
        expected: what would have been right; left out when None.
        hint: what to do now, as a sentence; left out when None.
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
    """A config names something that does not exist, or contradicts the data or itself."""


class DataError(DetkitError):
    """Images or annotations cannot be used as they are."""


class WeightsError(DetkitError):
    """A checkpoint cannot be read, or does not fit the model it is loaded into."""


class DivergedError(DetkitError):
    """A training ended because a loss, a gradient or a weight became NaN or infinite."""


class VideoError(DetkitError):
    """A video cannot be read or written."""


class MissingExtraError(DetkitError):
    """An optional library is needed and not installed.

    Args:
        library: the import name of the library.
        extra: the extra of detkit that brings it.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"this needs the library '{library}', which is not installed",
            hint=f"run: pip install 'detkit[{extra}]'",
        )


class ExportError(DetkitError):
    """A model or a machine cannot do what an export or an engine asks of it."""


def format_error(error: BaseException) -> str:
    """The class and the text of ``error`` in one line; the class alone where it has no text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that the memory, the computer's or a GPU's, was not enough."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def describe_system_failure(error: BaseException) -> str | None:
    """The line for an error that memory, a file, a disk or another process caused; None for others.

    Such an error says nothing about the config or the code that was at work when it came.
    """
    message = " ".join(strip_worker_traceback(str(error)).split())
    message = message if len(
        message) <= _MAX_MESSAGE_CHARS else message[:_MAX_MESSAGE_CHARS] + "..."
    if is_out_of_memory(error):
        message = message.partition(". ")[0]
        return ("the memory is not enough; use a smaller batch, smaller images or a smaller model"
                + (f" ({message})" if message else ""))
    worker = _WORKER_EXIT.search(str(error))
    if worker is not None:
        return _worker_exit_message(worker[1])
    if any(cls.__name__ == "DistError"
           for cls in type(error).__mro__) or (isinstance(error, ConnectionError)
                                               or type(error) is RuntimeError
                                               and _CONNECTION_LOST.search(message)):
        return ("a process or server that this one works with ended or cannot be reached"
                + (f" ({message})" if message else "") + "; its own messages say why")
    if isinstance(error, OSError):
        if error.filename is not None:
            return f"{error.filename}: {error.strerror or message}"
        # An error of a data loading process is made again from its text alone.
        return message if error.errno is None and "[Errno" in message else error.strerror
    if type(error) is RuntimeError and "No space left on device" in message:
        return message
    if type(error) is RuntimeError and "PytorchStreamWriter failed" in message:
        return f"a file cannot be written; is there space left on its disk? ({message})"
    return None


def _worker_exit_message(signal: str | None) -> str:
    """The line for a data loading process that is gone; ``signal`` ended it, None if none did."""
    if signal is not None and signal.strip() == "Bus error":
        return ("a data loading process was ended by a bus error: its shared memory probably ran "
                "out; give the container more (docker run --shm-size), or use fewer "
                "train_dataloader.num_workers")
    if signal is None or signal.strip() == "Killed":
        how = "ended unexpectedly" if signal is None else "was killed"
        return (f"a data loading process {how}: the memory probably ran out; use fewer "
                "train_dataloader.num_workers or a smaller train_dataloader.batch_size")
    return (f"a data loading process was ended ({signal.strip()}); "
            "train_dataloader.num_workers=0 shows what it was doing")


def strip_worker_traceback(message: str) -> str:
    """What was raised in a data loading process, and where; any other message as it is.

    torch puts that process's whole traceback into the message. An error of detkit needs no place.
    """
    if "Original Traceback" not in message:
        return message
    _, separator, last = message.rpartition("detkit.errors.")
    if separator and "Traceback" not in last:
        return last.partition("Error: ")[2].strip()
    locations = re.findall(r'File ".*?([^"/]+)", line (\d+)', message)
    location = " at {}:{}".format(*locations[-1]) if locations else ""
    return f"{message.strip().splitlines()[-1]} (in a data loading process{location})"
