"""Calls that the page does not make are rejected with one line, and none on stderr."""

import base64
import json

import pytest
from page_browser import CAMERA, PREDICT, REFILTER, STOP, VIDEO, png

ADDRESS = {"url": "data:image/png;base64," + base64.b64encode(png()).decode()}


def called(browser, body):
    """The status of a call, and the message of a rejected one."""
    response = posted(browser, "queue/join", body)
    return response.status, json.loads(response.content).get("detail")


def posted(browser, route, body):
    call = json.dumps({"session_hash": browser.tab, **body})
    return browser.ask("POST", f"/gradio_api/{route}", call, Content_Type="application/json")


@pytest.mark.parametrize("fn_index", [99, -1, 10**30, 10**400, "1", None, True, 1.0, [1], {"a": 1}])
def test_unknown_function_index_is_rejected(browser, capfd, fn_index):
    status, line = called(browser, {"fn_index": fn_index, "data": [None, 0.5, []]})
    assert status == 400 and line.startswith("fn_index: got ") and len(line) < 200
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "function, data, message",
    [(REFILTER, [None, "a text", []], "Threshold: got 'a text', expected a number from 0 to 1"),
     (REFILTER, [None, None, []], "Threshold: got None, expected a number from 0 to 1"),
     (REFILTER, [None, 1.5, []], "Threshold: got 1.5"),
     (REFILTER, [None, float("nan"), []], "Threshold: got nan"),
     (REFILTER, [None, True, []], "Threshold: got True"),
     (REFILTER, [None, 10**400, []], "Threshold: got 1000"),
     (REFILTER, [None, 0.5, [0] * 10**6], "Classes: got [0, 0, 0, 0, 0, 0, ...], expected labels"),
     (REFILTER, [None, 0.5, [99]], "Classes: got [99], expected labels from 0 to 2, each once"),
     (REFILTER, [None, 0.5, ["\x1b[2J"]], r"Classes: got ['\x1b[2J']"),
     (REFILTER, [None, 0.5, 0], "Classes: got 0"),
     (REFILTER, [None, 0.5, [0.0]], "Classes: got [0.0]"),
     (PREDICT, ["/etc/passwd", 0.5, []
                ], "Image: got '/etc/passwd', expected an object with the key"),
     (PREDICT, [{"a": 1}, 0.5, []], "Image: got {'a': 1}"),
     (VIDEO, [ADDRESS, 0.5, []], "Video: got {'url': "),
     (CAMERA, [{"a": 1}, 0.5, [], None], "Camera: got {'a': 1}"),
     (PREDICT, [None, 0.5], "data: got [None, 0.5], expected a list of 3"),
     (PREDICT, [None] * 1000, "data: got [None, None"),
     (STOP, [None], "data: got [None], expected a list of 0"), (PREDICT, {}, "data: got {}"),
     (PREDICT, None, "data: got None"), (PREDICT, "abc", "data: got 'abc'"), ], ids=str)
def test_invalid_input_values_are_rejected(browser, capfd, function, data, message):
    status, line = called(browser, {"fn_index": function, "data": data})
    assert status == 400 and message in line and len(line) < 200 and line.isprintable()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("function", [PREDICT, REFILTER, VIDEO, STOP])
def test_stream_route_is_for_camera_only(browser, function):
    data = [] if function == STOP else [None, 0.5, []]
    response = posted(browser, f"stream/{'0' * 32}", {"fn_index": function, "data": data})
    assert response.status == 400 and response.content.startswith(b"fn_index: got ")


def test_valid_page_calls_are_accepted(browser):
    for function, data in ((REFILTER, [None, 0, []]), (REFILTER, [None, 1, None]), (STOP, []),
                           (REFILTER, [None, 0.25, [2, 0, 1]]), (PREDICT, [None, 0.5, []]),
                           (VIDEO, [None, 0.5, []]), (CAMERA, [ADDRESS, 0.5, [], None])):
        assert called(browser, {"fn_index": function, "data": data})[0] == 200


def test_rejected_call_returns_json_detail(browser):
    """Gradio's page reads the answer as JSON, and shows its detail."""
    browser.cookie = None
    assert called(browser, {"fn_index": STOP, "data": []}) == (
        403, "unknown browser; reload the page")


def test_the_page_leaves_the_log_files_of_its_process_open(served, log_file):
    assert log_file.stream is not None and not log_file.stream.closed
