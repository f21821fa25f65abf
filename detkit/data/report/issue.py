"""An issue of a data set: what is wrong, where, and how it was resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

ERROR = "refused"
LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of a data set.

    Args:
        code: the type of issue, such as ``zero_size_box``.
        message: a sentence with the values.
        resolution: what was done: left out, clipped, merged, kept, refused, ...
        file: the file with the issue, or that lists the image; '' for the data set as a whole.
        image: file name of the image, if the issue is about one.
        annotation: id of the annotation in its file, or its ordinal from 1 in a VOC file.
        split: train, val or test, if the issue is in one.
    """

    code: str
    message: str
    resolution: str
    file: str = ""
    image: str | None = None
    annotation: Any = None
    split: str | None = None

    def location(self) -> str:
        """File, annotation and image of the issue, for a message."""
        components = [self.file] if self.file else []
        if self.annotation is not None:
            components.append(f"annotation {self.annotation}")
        if self.image is not None and self.image != self.file:
            components.append(f"image '{self.image}'")
        return ", ".join(components) or "data set"

    def as_dict(self) -> dict[str, Any]:
        """The fields under the keys of ledger files, which are fixed."""
        return {"kind": self.code, "what": self.message, "action": self.resolution,
                "file": self.file, "image": self.image, "annotation": self.annotation,
                "split": self.split}

    @property
    def group(self) -> IssueGroup:
        """The group in which the ledger counts it."""
        return self.code, self.split, outcome_of(self.resolution)


# Code, split, and outcome: 'refused', 'left out' or 'other'.
IssueGroup = tuple[str, Union[str, None], str]


def outcome_of(resolution: str) -> str:
    """The outcome that a resolution is counted as: 'refused', 'left out' or 'other'."""
    if resolution == ERROR:
        return ERROR
    return LEFT_OUT if resolution.startswith(LEFT_OUT) else "other"
