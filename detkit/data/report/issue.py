"""One issue of a data set: what does not fit, where, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

ERROR = "refused"
LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that does not fit.

    Args:
        code: short name, the same for all faults of a sort, such as ``zero_size_box``.
        message: the finding as a sentence with its numbers.
        resolution: what was done: left out, clipped, merged, kept, refused, ...
        file: the file at fault, or that names the image; '' for the set as a whole.
        image: file name of the image, when the fault is about one.
        annotation: the annotation's own id in its file, or its ordinal from 1 in a VOC file.
        split: train, val or test, when the fault is in one.
    """

    code: str
    message: str
    resolution: str
    file: str = ""
    image: str | None = None
    annotation: Any = None
    split: str | None = None

    def location(self) -> str:
        """Where it stands, for a message."""
        components = [self.file] if self.file else []
        if self.annotation is not None:
            components.append(f"annotation {self.annotation}")
        if self.image is not None and self.image != self.file:
            components.append(f"image '{self.image}'")
        return ", ".join(components) or "data set"

    def as_dict(self) -> dict[str, Any]:
        """Under the keys that ledger files have had from their first version."""
        return {"kind": self.code, "what": self.message, "action": self.resolution,
                "file": self.file, "image": self.image, "annotation": self.annotation,
                "split": self.split}

    @property
    def group(self) -> IssueGroup:
        """What it is counted under."""
        return self.code, self.split, outcome_of(self.resolution)


# Kind, split, and outcome: 'refused', 'left out' or 'other'.
IssueGroup = tuple[str, Union[str, None], str]


def outcome_of(resolution: str) -> str:
    if resolution == ERROR:
        return ERROR
    return LEFT_OUT if resolution.startswith(LEFT_OUT) else "other"
