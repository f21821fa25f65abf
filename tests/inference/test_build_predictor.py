"""The choice between an engine, an exported folder and the library that trained the model."""

import pytest

from detkit import EnginePredictor, Predictor
from detkit.errors import DetkitError, ExportError, WeightsError
from detkit.inference.build_predictor import build_predictor
from detkit.inference.engines.engine_choice import CANDIDATES


@pytest.mark.parametrize(("options", "expected"), [
    ({"engine": None}, Predictor), ({"engine": "mmdet"}, Predictor),
    ({"engine": "torch"}, EnginePredictor), ({"engine": None, "size": 64}, EnginePredictor),
], ids=["default", "mmdet", "torch", "size"])
def test_engine_and_its_options_select_the_predictor(thumbnail, options, expected, monkeypatch):
    monkeypatch.setitem(CANDIDATES, "cpu", ("torch",))
    predictor = build_predictor(thumbnail, device="cpu", original_hw=(48, 64), **options)
    assert type(predictor) is expected
    assert predictor.summary().startswith("mmdet" if expected is Predictor else "torch")


def test_classifier_runs_in_torch(class_thumbnail):
    predictor = build_predictor(class_thumbnail, device="cpu")
    assert (predictor.task, predictor.summary()) == ("classification", "torch, device cpu")


def test_detector_without_engine_falls_back_to_mmdet(thumbnail, monkeypatch):
    def fail(*args, **kwargs):
        raise ExportError("no engine")

    monkeypatch.setattr(EnginePredictor, "from_checkpoint", fail)
    reasons = []
    predictor = build_predictor(thumbnail, device="cpu", on_fallback=reasons.append)
    assert predictor.summary() == "mmdet, device cpu"
    assert reasons == ["no engine"]
    with pytest.raises(ExportError, match="no engine"):
        build_predictor(thumbnail, engine="openvino", device="cpu")


@pytest.mark.parametrize(("options", "message"), [
    ({"engine": "torch"}, "--engine: .* holds a classifier; leave --engine out"),
    ({"precision": "f32"}, "--precision: .* holds a classifier"),
    ({"engine": "mmdet", "size": 64}, "--size: .* --engine mmdet runs none"),
    ({"engine": None, "max_proposals": 3}, "--max-proposals: .* holds a classifier"),
])
def test_option_that_does_not_apply_raises_error(class_thumbnail, options, message):
    with pytest.raises(DetkitError, match=message):
        build_predictor(class_thumbnail, device="cpu", **options)


@pytest.mark.parametrize(("options", "message"), [
    ({"engine": "mmdet"}, "--engine mmdet: .* is an exported folder"),
    ({"size": 64}, "--size: .* is an exported folder"),
    ({"engine": None}, "is not an exported engine"),
])
def test_folder_accepts_no_engine_options(tmp_path, options, message):
    with pytest.raises(DetkitError, match=message):
        build_predictor(tmp_path, device="cpu", **options)


def test_invalid_checkpoint_raises_weights_error(tmp_path):
    (tmp_path / "a.pth").write_text("no checkpoint")
    with pytest.raises(WeightsError, match="a.pth"):
        build_predictor(tmp_path / "a.pth", device="cpu")
