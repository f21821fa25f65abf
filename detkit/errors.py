"""The one family of errors that people see: what is wrong, got and expected, what to do."""


class DetkitError(Exception):
    """Something a user can mend. The command line prints it as one line and exits with code 2.

    Args:
        what: the thing that is wrong and where it stands (file, key path, annotation id).
        got: the value that was found; left out of the message when None.
        expected: what would have been right; left out when None.
        do: what to do now, as a sentence; left out when None.
    """

    def __init__(
        self,
        what: str,
        *,
        got: object = None,
        expected: object = None,
        do: str | None = None,
    ) -> None:
        self.what = what
        self.got = got
        self.expected = expected
        self.do = do
        super().__init__(self._message())

    def _message(self) -> str:
        message = self.what
        details = []
        if self.got is not None:
            details.append(f"got {self.got}")
        if self.expected is not None:
            details.append(f"expected {self.expected}")
        if details:
            message += ": " + ", ".join(details)
        if self.do is not None:
            message += f"; {self.do}"
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
            do=f"run: pip install 'detkit[{extra}]'",
        )


class ExportError(DetkitError):
    """A model or a machine cannot do what an export or an engine asks of it."""
