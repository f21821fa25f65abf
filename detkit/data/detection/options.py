"""Options for the interpretation of a detection data set, set by the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from detkit.data.detection.annotations import SPLITS
from detkit.data.formats.box_format import BOX_FORMATS
from detkit.errors import ConfigError
from detkit.text import name_hint

DATA_OPTIONS_KEY = "data_options"


@dataclass(frozen=True)
class DataOptions:
    """How to interpret a data set; the defaults follow its format.

    Args:
        box_format: one of ``box_format.BOX_FORMATS``; None for that of the file format: 'xywh' for
            COCO, 'xyxy' for Pascal VOC. A dict by 'train', 'val' and 'test' where splits differ.
        train_difficult: train on objects that Pascal VOC marks as difficult; AP ignores them in
            either case.
        empty_box_is_background: an annotation with the box [] or [0, 0, 0, 0] means that its image
            has no objects. If False, such an image is left out, as some tools write such boxes
            for objects, too.
        allow_outside: use images outside of the data folder that annotations refer to.

    Raises:
        ConfigError: a value is not one of these.
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
        """The box format that is set for a split; None where none is set."""
        if isinstance(self.box_format, Mapping):
            return self.box_format.get(split)
        return self.box_format


def parse_data_options(value: Any) -> DataOptions:
    """The options in ``data_options`` of a config; the defaults for None.

    Raises:
        ConfigError: it is not a dict, or has an unknown key or value.
    """
    if value is None:
        return DataOptions()
    if not isinstance(value, Mapping):
        raise ConfigError(DATA_OPTIONS_KEY, got=repr(value), expected="a dict")
    known = [field.name for field in fields(DataOptions)]
    for name in value:
        if name not in known:
            raise ConfigError(f"{DATA_OPTIONS_KEY}.{name} is not an option",
                              expected=" or ".join(known),
                              hint=name_hint(str(name), known))
    return DataOptions(**value)
