"""HTML of the results: the table of detections, the bars of classes, the time budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from detkit.structures.classifications import Classifications
from detkit.structures.detections import Detections
from detkit.visualization.box_annotator import class_color

BUDGET_MS = 33.3  # per frame at 30 frames per second
MAX_TABLE_ROWS = 100
NO_DETECTIONS = '<p class="empty">No detections at this threshold.</p>'
NUM_COLORS = 6  # of the time budget in the style sheet


def status(text: str = "", is_error: bool = False) -> str:
    """The line above the results; screen readers read an error at once."""
    level = "error" if is_error else "info"
    return (f'<p class="status {level}" role="{"alert" if is_error else "status"}">'
            f"{escape(text)}</p>")


def detections_table(detections: Detections, classes: Sequence[str]) -> str:
    """A table with the class, score and box in integer pixels of each detection."""
    if not len(detections):
        return NO_DETECTIONS
    rows = []
    for box, score, label in zip(detections.boxes_xyxy, detections.scores, detections.labels):
        corners = ", ".join(f"{value:.0f}" for value in box)
        rows.append([_name(classes, int(label)), f"{score:.2f}", corners])
    return _table(["class", "score", "box: left, top, right, bottom"], rows)


def video_summary_table(class_summary: Mapping[int, tuple[int, int, float]],
                        classes: Sequence[str]) -> str:
    """A table of the detected classes, the most frequent first.

    Args:
        class_summary: for each label: number of frames with it, maximum number in a frame, and
            maximum score.
        classes: the class names, indexed by label.
    """
    if not class_summary:
        return NO_DETECTIONS
    rows = [[_name(classes, label),
             str(frames), str(max_count), f"{best:.2f}"]
            for label, (frames, max_count, best)
            in sorted(class_summary.items(), key=lambda item: -item[1][0])]
    return _table(["class", "frames", "max per frame", "max score"], rows)


def class_bars(scores: Classifications, classes: Sequence[str], top_k: int,
               threshold: float) -> str:
    """The label ('unsure' below ``threshold``), and a bar for each of the top k classes."""
    head = classes[scores.label] if scores.score >= threshold else "unsure"
    lines = [f'<p class="label">{escape(head)}</p>']
    for label, score in zip(*scores.top(top_k)):
        lines.append(
            f'<div class="bar"><span>{escape(classes[label])}</span><span>{score:.3f}</span>'
            f'<i style="width:{100 * score:.1f}%;background:{_css_color(int(label))}"></i></div>'
        )
    return f'<div class="bars">{"".join(lines)}</div>'


def budget(timings: Mapping[str, float], fps: float | None = None, note: str = "") -> str:
    """A bar of the time per frame, by step, against the 33 ms of 30 frames per second.

    Args:
        timings: milliseconds of each step, in order.
        fps: measured frames per second; None for a single image.
        note: a sentence below the bar.
    """
    total = sum(timings.values())
    # The bar of a slow frame has the full width, and the 33 ms mark moves to the left.
    scale = 100 / max(total, BUDGET_MS * 1.25)
    strips = "".join(
        f'<i class="step-{index % NUM_COLORS}" style="width:{value * scale:.2f}%"></i>'
        for index, value in enumerate(timings.values())
    )
    legend = "".join(
        f'<span><b class="step-{index % NUM_COLORS}"></b>{escape(name)} {value:.1f} ms</span>'
        for index, (name, value) in enumerate(timings.items())
    )
    within_budget = total <= BUDGET_MS
    verdict = "within" if within_budget else "over"
    speed = f" · {fps:.1f} fps" if fps is not None else ""
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<div class="budget"><p><strong>{total:.1f} ms per frame{speed}</strong>'
        f'<span class="verdict {verdict}">{verdict} the 33 ms of 30 fps</span></p>'
        f'<div class="strip">{strips}<u style="left:{BUDGET_MS * scale:.2f}%"></u></div>'
        f'<div class="legend">{legend}</div>{below}</div>'
    )


def _name(classes: Sequence[str], label: int) -> str:
    return f'<b class="swatch" style="background:{_css_color(label)}"></b>{escape(classes[label])}'


def _css_color(label: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*class_color(label))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are already HTML."""
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        for row in rows[:MAX_TABLE_ROWS]
    )
    num_hidden = len(rows) - MAX_TABLE_ROWS
    more_note = f'<p class="note">and {num_hidden} more</p>' if num_hidden > 0 else ""
    return (f'<div class="detections"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
            f"</table>{more_note}</div>")
