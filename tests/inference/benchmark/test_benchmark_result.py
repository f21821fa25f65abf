"""The benchmark's tables."""

from detkit.inference.benchmark.benchmark_result import (
    MMDET,
    BenchmarkResult,
    layer_time_table,
    speed_table,
)

FAST = BenchmarkResult("openvino", "f32", (192, 320), 20.04, 25.5, 80.0, 0.5839, 4.0, 0.5, 18.0,
                       0.25, {"backbone": 0.5, "RoI heads": 0.25})


def test_no_rows_give_header_only():
    assert speed_table([]).split() == ["engine", "precision", "size", "median", "ms", "p95", "ms",
                                       "fps", "x", "mmdet", "AP"]
    assert layer_time_table([]) == ""


def test_missing_measurement_is_a_dash():
    row = BenchmarkResult(MMDET, "f32", (192, 320), 80.0, 90.0, 12.0)
    assert speed_table([row]).splitlines()[1].split() == [
        "mmdet", "f32", "192x320", "80.0", "90.0", "12.0", "-", "-"]


def test_speed_table_row_shows_measurements():
    assert speed_table([FAST]).splitlines()[1].split() == [
        "openvino", "f32", "192x320", "20.0", "25.5", "80.0", "4.00", "0.5839"]


def test_layer_time_table_shows_milliseconds_of_engine():
    lines = layer_time_table([BenchmarkResult(MMDET, "f32", (1, 1), 1, 1, 1), FAST]).splitlines()
    assert len(lines) == 2
    # 0.5 and 0.25 of 18 ms
    assert lines[1].split() == ["openvino", "f32", "192x320", "0.5", "9.0", "4.5", "0.2"]


def test_result_converts_to_dict():
    assert FAST.as_dict()["size"] == (192, 320)
    assert FAST.as_dict()["shares"] == {"backbone": 0.5, "RoI heads": 0.25}
