"""What a user says about a data set that the set itself does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from detkit.data.detection.annotations import SPLITS
from detkit.data.formats.box_format import BOX_FORMATS
from detkit.errors import ConfigError
from detkit.text import did_you_mean

DATA_OPTIONS_KEY = "data_options"


@dataclass(frozen=True)
class DataOptions:
    """How to read a data set; the defaults are what its format means.

    Args:
        box_format: what the four numbers of each box are, one of ``box_format.BOX_FORMATS``; None
            for what the format says: 'xywh' of COCO, 'xyxy' of Pascal VOC. A dict of them by
            'train', 'val' and 'test' where the splits differ.
        train_difficult: train on the objects that Pascal VOC marks as difficult; AP ignores
            them either way.
        empty_box_is_background: an annotation whose box is [] or [0, 0, 0, 0] says that its image
            shows no object; else such an image is left out, for there are tools that write so
            of objects too.
        allow_outside: use images that annotations name outside of the data folder.

    Raises:
        ConfigError: a value is none of those.
    """

    box_format: str | Mapping[str, str] | None = None
    train_difficult: bool = True
    empty_box_is_background: bool = False
    allow_outside: bool = False

    def __post_init__(self) -> None:
        by_split = self.box_format if isinstance(self.box_format, Mapping) else {}
        for name, value in by_split.items() if by_split else [("", self.box_format)]:
            if name and name not in SPLITS:
                raise ConfigError(f"{DATA_OPTIONS_KEY}.box_format.{name}",
                                  expected=" or ".join(SPLITS))
            if value is not None and (not isinstance(value, str) or value not in BOX_FORMATS):
                raise ConfigError(f"{DATA_OPTIONS_KEY}.box_format{name and '.' + name}",
                                  got=repr(value), expected=f"one of {', '.join(BOX_FORMATS)}")
        for name in ("train_difficult", "empty_box_is_background", "allow_outside"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{DATA_OPTIONS_KEY}.{name}", got=repr(getattr(self, name)),
                                  expected="True or False")

    def box_format_for(self, split: str) -> str | None:
        """What is said of one split's boxes."""
        if isinstance(self.box_format, Mapping):
            return self.box_format.get(split)
        return self.box_format


def parse_data_options(value: Any) -> DataOptions:
    """The options that a config's ``data_options`` holds; the defaults for None.

    Raises:
        ConfigError: it is no dict, or a key or value in it is not known.
    """
    if value is None:
        return DataOptions()
    if not isinstance(value, Mapping):
        raise ConfigError(DATA_OPTIONS_KEY, got=repr(value), expected="a dict")
    known = [field.name for field in fields(DataOptions)]
    for name in value:
        if name not in known:
            raise ConfigError(f"{DATA_OPTIONS_KEY}.{name} is not an option"
                              + did_you_mean(str(name), known), expected=" or ".join(known))
    return DataOptions(**value)
