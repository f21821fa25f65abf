"""The calls that the page itself makes: of which functions, and with what for each input.

Gradio answers whatever else is called with a traceback on the server's stderr.
"""

from __future__ import annotations

import reprlib
from typing import Any


class CallValidator:
    """What may be called.

    Args:
        blocks: gradio's page, whose sliders, drop-downs and files are the inputs of its functions.
    """

    def __init__(self, blocks: Any) -> None:
        self._functions = dict(blocks.fns)

    def find_error(self, call: dict[str, Any], is_stream: bool) -> str | None:
        """What of a call is not as the page makes it; None when all is.

        Args:
            call: as JSON; without ``data`` it says which function is meant, and no more.
            is_stream: whether it is a further picture for a camera's function.
        """
        number = call.get("fn_index")
        function = self._functions.get(number) if type(number) is int else None
        if function is None or is_stream and function.connection != "stream":
            return f"fn_index: got {reprlib.repr(number)}, expected that of a function of the page"
        data = call.get("data", [])
        if not isinstance(data, list) or "data" in call and len(data) != len(function.inputs):
            return f"data: got {reprlib.repr(data)}, expected a list of {len(function.inputs)}"
        for value, component in zip(data, function.inputs):
            expected = _expected(value, component)
            if expected is not None:
                return f"{component.label}: got {reprlib.repr(value)}, expected {expected}"
        return None


def _expected(value: Any, component: Any) -> str | None:
    """What an input would have taken in place of ``value``; None when it takes that."""
    import gradio as gr

    if isinstance(component, gr.Slider):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and component.minimum <= value <= component.maximum:  # which NaN is not
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
    return None  # a state, which the server keeps, and does not take
