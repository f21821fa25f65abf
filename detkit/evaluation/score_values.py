"""Scores as text and JSON: nan means that there is nothing to measure."""

from __future__ import annotations

import math


def format_score(value: float) -> str:
    """Four decimal places; '-' for nan."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def nan_to_none(value: float) -> float | None:
    """The value, or None for nan, which JSON cannot hold."""
    return None if math.isnan(value) else value


def pluralize(count: int, singular: str, plural: str | None = None) -> str:
    """'1 image', '2 images', '2 classes'; the plural adds an 's' unless given."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"
