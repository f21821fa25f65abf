"""What the page says of a look, as html: the table of finds, the bars of classes, the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from detkit.structures.classifications import Classifications
from detkit.structures.detections import Detections
from detkit.visualization.box_annotator import class_color

BUDGET_MS = 33.3  # of one frame at 30 frames a second
MAX_TABLE_ROWS = 100
NUM_COLORS = 6  # that the style sheet has for the parts of a budget


def status(text: str = "", is_error: bool = False) -> str:
    """One line above the results; ``is_error`` ones are read out at once. Empty text: an empty line."""
    kind = "bad" if is_error else "good"
    return f'<p class="status {kind}" role="{"alert" if is_error else "status"}">{escape(text)}</p>'


def detections_table(detections: Detections, classes: Sequence[str]) -> str:
    """A row for each find, highest score first: class, score, and box in whole pixels."""
    if not len(detections):
        return '<p class="nothing">Nothing found at this threshold.</p>'
    rows = []
    for box, score, label in zip(detections.boxes_xyxy, detections.scores, detections.labels):
        corners = ", ".join(f"{value:.0f}" for value in box)
        rows.append([_name(classes, int(label)), f"{score:.2f}", corners])
    return _table(["class", "score", "box: left, top, right, bottom"], rows)


def video_summary_table(class_summary: Mapping[int, tuple[int, int, float]],
                        classes: Sequence[str]) -> str:
    """A row for each class that was seen, the most frequent first.

    Args:
        class_summary: for each label the frames that hold it, the most in one frame, and its best
            score.
        classes: the names that labels index.
    """
    if not class_summary:
        return '<p class="nothing">Nothing found at this threshold.</p>'
    rows = [[_name(classes, label),
             str(frames), str(max_count), f"{best:.2f}"]
            for label, (frames, max_count,
                        best) in sorted(class_summary.items(), key=lambda item: -item[1][0])]
    return _table(["class", "frames with it", "most at once", "best score"], rows)


def class_bars(scores: Classifications, classes: Sequence[str], top_k: int,
               threshold: float) -> str:
    """The label in large letters ('unsure' below ``threshold``), and the top k with a bar each."""
    sure = scores.score >= threshold
    head = classes[scores.label] if sure else "unsure"
    lines = [f'<p class="label">{escape(head)}</p>']
    for label, score in zip(*scores.top(top_k)):
        lines.append(
            f'<div class="bar"><span>{escape(classes[label])}</span><span>{score:.3f}</span>'
            f'<i style="width:{100 * score:.1f}%;background:{_css_color(int(label))}"></i></div>'
        )
    return f'<div class="bars">{"".join(lines)}</div>'


def budget(timings: Mapping[str, float], fps: float | None = None, note: str = "") -> str:
    """The milliseconds of one frame, part by part against the 33 ms of 30 frames a second.

    Args:
        timings: milliseconds by what they went into, in order.
        fps: frames a second that were measured; None when there was but one picture.
        note: a sentence below.
    """
    total = sum(timings.values())
    # A slow frame fills the width, and the mark of 33 ms moves to the left in it.
    scale = 100 / max(total, BUDGET_MS * 1.25)
    strips = "".join(
        f'<i class="part-{index % NUM_COLORS}" style="width:{value * scale:.2f}%"></i>'
        for index, value in enumerate(timings.values())
    )
    legend = "".join(
        f'<span><b class="part-{index % NUM_COLORS}"></b>{escape(name)} {value:.1f} ms</span>'
        for index, (name, value) in enumerate(timings.items())
    )
    within_budget = total <= BUDGET_MS
    verdict = "within" if within_budget else "over"
    speed = f" · {fps:.1f} fps" if fps is not None else ""
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<div class="budget"><p><strong>{total:.1f} ms a frame{speed}</strong>'
        f'<span class="verdict {verdict}">{verdict} the 33 ms of 30 fps</span></p>'
        f'<div class="strip">{strips}<u style="left:{BUDGET_MS * scale:.2f}%"></u></div>'
        f'<div class="legend">{legend}</div>{below}</div>'
    )


def _name(classes: Sequence[str], label: int) -> str:
    return f'<b class="swatch" style="background:{_css_color(label)}"></b>{escape(classes[label])}'


def _css_color(label: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*class_color(label))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are html already."""
    top = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        for row in rows[:MAX_TABLE_ROWS]
    )
    num_hidden = len(rows) - MAX_TABLE_ROWS
    more_note = f'<p class="note">and {num_hidden} more</p>' if num_hidden > 0 else ""
    return (f'<div class="finds"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
            f"{more_note}</div>")
