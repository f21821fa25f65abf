"""The counts of a model as plain text for stdout."""

from __future__ import annotations

from detkit.analysis.complexity.model_parts import Complexity, Part

ROW = "{:<32}{:>12}{:>12}{:>24}"
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def complexity_table(found: Complexity, title: str) -> str:
    """A row for each part and one for the whole, then what was counted and how; no final newline.

    Args:
        found: what was measured.
        title: the config's name.
    """
    classes = f", {found.classes} classes" if found.classes is not None else ""
    lines = [
        f"{title}: one image of {found.height}x{found.width} (height x width){classes}",
        "",
        ROW.format("part", "parameters", "trainable", "FLOPs (multiply-adds)"),
    ]
    for part in found.parts:
        lines.append(_row(part.name, part))
        if part.name == "roi_head":
            lines += [_row("  " + inner.name.removeprefix("roi_head."), inner)
                      for inner in found.inside]
    lines += [_row("whole", found.whole), ""]
    return "\n".join([*lines, *_notes(found)])


def _notes(found: Complexity) -> list[str]:
    notes = [
        "FLOPs as papers count them: a multiply-add is 1. Counted are convolutions, linear layers",
        "and matrix products; norms, activations, interpolation (RoIAlign, too) and NMS are not.",
    ]
    if found.classes_assumed:
        notes += [
            f"{found.classes} classes, as ImageNet has: in a run the data decides. For another",
            "number pass --cfg-options model.head.num_classes=N.",
        ]
    if found.regions is not None:
        masks = any(".mask" in part.name for part in found.inside)
        notes.append(f"RoI heads at {found.regions.proposals} proposals, every stage"
                     + (f"; masks at {found.regions.detections} of them." if masks else "."))
    if found.not_run:
        notes.append("Not run, so without FLOPs here: " + ", ".join(found.not_run) + ".")
    return notes


def _row(name: str, part: Part) -> str:
    numbers = (part.parameters, part.trainable, part.multiply_adds)
    return ROW.format(name, *map(_short, numbers))


def _short(number: int) -> str:
    """Four or more digits, as 27.52 M; below a thousand the number itself."""
    for unit, letter in UNITS:
        if number >= unit:
            value = number / unit
            return f"{value:.{2 if value >= 10 else 3}f} {letter}"
    return str(number)
