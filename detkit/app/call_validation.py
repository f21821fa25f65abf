"""Validates the calls of the page's functions and the values of their inputs.

Gradio responds to an invalid call with a traceback on the server's stderr.
"""

from __future__ import annotations

import reprlib
from typing import Any


class CallValidator:
    """Checks calls against the functions of a page.

    Args:
        blocks: gradio's page; the inputs of its functions are sliders, dropdowns and files.
    """

    def __init__(self, blocks: Any) -> None:
        self._functions = dict(blocks.fns)

    def find_error(self, call: dict[str, Any], is_stream: bool) -> str | None:
        """The error in a call; None if it is valid.

        Args:
            call: the JSON object; without ``data`` it only identifies the function.
            is_stream: whether it is the next image for the function of the camera.
        """
        fn_index = call.get("fn_index")
        function = self._functions.get(fn_index) if type(fn_index) is int else None
        if function is None or is_stream and function.connection != "stream":
            return f"fn_index: got {reprlib.repr(fn_index)}, expected a function of the page"
        data = call.get("data", [])
        if not isinstance(data, list) or "data" in call and len(data) != len(function.inputs):
            return f"data: got {reprlib.repr(data)}, expected a list of {len(function.inputs)}"
        for value, component in zip(data, function.inputs):
            expected = _expected(value, component)
            if expected is not None:
                return f"{component.label}: got {reprlib.repr(value)}, expected {expected}"
        return None


def _expected(value: Any, component: Any) -> str | None:
    """The values that an input accepts; None if it accepts ``value``."""
    import gradio as gr

    if isinstance(component, gr.Slider):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and component.minimum <= value <= component.maximum:  # False for NaN
            return None
        return f"a number from {component.minimum} to {component.maximum}"
    if isinstance(component, gr.Dropdown):
        count = len(component.choices)
        are_labels = isinstance(value, list) and len(value) <= count and all(
            type(label) is int and 0 <= label < count for label in value)
        return None if are_labels or value is None else f"labels from 0 to {count - 1}, each once"
    if isinstance(component, (gr.Image, gr.File)):
        key = "url" if getattr(component, "streaming", False) else "path"
        is_file = value is None or isinstance(value, dict) and key in value
        return None if is_file else f"an object with the key '{key}'"
    return None  # a state, which is on the server
