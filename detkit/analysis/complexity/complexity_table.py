"""Format the complexity of a model as a plain text table."""

from __future__ import annotations

from detkit.analysis.complexity.model_parts import Complexity, ModuleComplexity

ROW_FORMAT = "{:<32}{:>12}{:>12}{:>24}"
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def format_complexity_table(complexity: Complexity, title: str) -> str:
    """Format a row for each module and one for the total, with notes; no final newline.

    Args:
        complexity: of the model.
        title: the name of the config.
    """
    classes = f", {complexity.classes} classes" if complexity.classes is not None else ""
    lines = [
        f"{title}: one image of {complexity.height}x{complexity.width} (height x width){classes}",
        "",
        ROW_FORMAT.format("part", "parameters", "trainable", "FLOPs (multiply-adds)"),
    ]
    for part in complexity.parts:
        lines.append(_row(part.name, part))
        if part.name == "roi_head":
            lines += [_row("  " + inner.name.removeprefix("roi_head."), inner)
                      for inner in complexity.inside]
    lines += [_row("whole", complexity.total), ""]
    return "\n".join([*lines, *_notes(complexity)])


def _notes(complexity: Complexity) -> list[str]:
    notes = [
        "FLOPs are multiply-adds, as in papers. Counted are convolutions, linear layers and matrix",
        "products; not counted are norms, activations, interpolation (RoIAlign too) and NMS.",
    ]
    if complexity.classes_assumed:
        notes += [
            f"{complexity.classes} classes, as in ImageNet; a run takes them from the data. For",
            "another number pass --cfg-options model.head.num_classes=N.",
        ]
    if complexity.regions is not None:
        masks = any(".mask" in part.name for part in complexity.inside)
        notes.append(f"RoI heads at {complexity.regions.proposals} proposals in every stage"
                     + (f"; masks at {complexity.regions.detections}." if masks else "."))
    if complexity.not_run:
        notes.append("Not run, so not counted: " + ", ".join(complexity.not_run) + ".")
    return notes


def _row(name: str, part: ModuleComplexity) -> str:
    counts = (part.parameters, part.trainable, part.multiply_adds)
    return ROW_FORMAT.format(name, *map(_format_count, counts))


def _format_count(count: int) -> str:
    """Four or more digits with a unit, as 27.52 M; below 1000 the number."""
    for unit, letter in UNITS:
        if count >= unit:
            value = count / unit
            return f"{value:.{2 if value >= 10 else 3}f} {letter}"
    return str(count)
