"""What a user says about a data set that the set itself does not tell."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from detkit.data.box_format import FORMATS
from detkit.errors import ConfigError

KEY = "data_options"


@dataclass(frozen=True)
class DataOptions:
    """How to read a data set; the defaults are what its format means.

    Args:
        box_format: what the four numbers of each box are, one of ``box_format.FORMATS``; None
            for what the format says: 'xywh' of COCO, 'xyxy' of Pascal VOC.
        train_difficult: train on the objects that Pascal VOC marks as difficult; AP ignores
            them either way.
        empty_box_is_background: an annotation whose box is [] or [0, 0, 0, 0] says that its image
            shows no object; else such an image is left out, for there are tools that write so
            of objects too.

    Raises:
        ConfigError: a value is none of those.
    """

    box_format: str | None = None
    train_difficult: bool = True
    empty_box_is_background: bool = False

    def __post_init__(self) -> None:
        if self.box_format is not None and self.box_format not in FORMATS:
            raise ConfigError(f"{KEY}.box_format", got=repr(self.box_format),
                              expected=f"one of {', '.join(FORMATS)}")
        for name in ("train_difficult", "empty_box_is_background"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{KEY}.{name}", got=repr(getattr(self, name)),
                                  expected="True or False")


def read_options(value: Any) -> DataOptions:
    """The options that a config's ``data_options`` holds; the defaults for None.

    Raises:
        ConfigError: it is no dict, or a key or value in it is not known.
    """
    if value is None:
        return DataOptions()
    if not isinstance(value, Mapping):
        raise ConfigError(KEY, got=repr(value), expected="a dict")
    known = [field.name for field in fields(DataOptions)]
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            raise ConfigError(f"{KEY}.{name} is not an option", expected=" or ".join(known),
                              do=f"did you mean '{near[0]}'?" if near else None)
    return DataOptions(**value)
