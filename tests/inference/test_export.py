"""Exports: the manifest, the accuracy check, and the validation of folders."""

import copy
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import torch
from own_truth import write_own_truth

from detkit import Predictor
from detkit.errors import DetkitError, ExportError, WeightsError
from detkit.inference.engine_predictor import EnginePredictor
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
from detkit.inference.export.export import ExportConfig, export
from detkit.inference.export.input_sizes import (
    resize_spec_for_sizes,
    select_input_hw,
    select_input_sizes,
)
from detkit.inference.export.manifest import read_manifest
from detkit.inference.graph.build import build_static_graph
from detkit.inference.letterbox import ResizeSpec


@pytest.fixture(scope="session")
def dataset(thumbnail, tmp_path_factory):
    return write_own_truth(tmp_path_factory.mktemp("own_truth") / "data", thumbnail)


@pytest.fixture(scope="session")
def exported(thumbnail, dataset, tmp_path_factory):
    """An exported folder; tests must not change it."""
    out = tmp_path_factory.mktemp("exported") / "deep" / "engine"
    result = export(thumbnail, out, ExportConfig(data=str(dataset), device="cpu"))
    assert result.folder == out
    return out


def test_manifest_describes_the_export(exported, thumbnail, dataset):
    manifest = read_manifest(exported)
    assert (manifest.format, manifest.precision, manifest.classes) == (
        "openvino",
        "f32",
        ("car", "bus", "dog"),
    )
    # 64x48 images at a longer side of 96 are 96x72; in multiples of 32 that is 96x96.
    assert list(manifest.graphs) == [(96, 96)]
    assert manifest.resize_spec == ResizeSpec((96, 96), 32)
    assert manifest.max_results == 20
    assert manifest.checkpoint_sha256 == hashlib.sha256(thumbnail.read_bytes()).hexdigest()
    assert {path.name for path in exported.iterdir()} == {"detkit.json", *manifest.hashes}
    assert manifest.versions["openvino"] and manifest.versions["torch"] and manifest.versions[
        "detkit"]
    accuracy = manifest.accuracy
    assert accuracy.images == 4
    assert accuracy.checkpoint_ap > 0.5, "the annotations are the checkpoint's detections"
    assert accuracy.engine_ap == pytest.approx(accuracy.checkpoint_ap, abs=0.001)
    assert [path.name for path in exported.parent.iterdir()] == ["engine"]


def test_exported_engine_matches_checkpoint(exported, thumbnail, dataset):
    engine = EnginePredictor.from_folder(exported, score_threshold=0.0)
    predictor = Predictor(thumbnail, "cpu", score_threshold=0.0)
    for path in sorted((dataset / "val").iterdir()):
        detections, expected = engine(path), predictor(path)
        np.testing.assert_array_equal(detections.labels, expected.labels)
        np.testing.assert_allclose(detections.scores, expected.scores, atol=1e-4)
        np.testing.assert_allclose(detections.boxes_xyxy, expected.boxes_xyxy, atol=0.01)
    assert engine.summary() == "openvino f32 96x96, 1 stream"


def test_inaccurate_engine_is_not_kept(thumbnail, dataset, tmp_path, monkeypatch):
    def corrupt_graph(self, input_hw):
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for head in model.roi_head.bbox_head:
                head.fc_reg.bias += 2.0
        return build_static_graph(model, input_hw)

    monkeypatch.setattr(CheckpointGraphs, "graph", corrupt_graph)
    result = export(thumbnail, tmp_path / "engine", ExportConfig(data=str(dataset), device="cpu"))
    assert result.folder is None
    assert result.manifest.accuracy.drop > 10
    assert not list(tmp_path.iterdir())


def corrupt_graph(folder):
    path = next(folder.glob("*.bin"))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def edit_manifest(folder, **new):
    path = folder / "detkit.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **new}))


def make_named_pipe(path):
    path.unlink()
    os.mkfifo(path)


def change_input_size(folder):
    hashes = json.loads((folder / "detkit.json").read_text())["hashes"]
    for suffix in (".xml", ".bin"):
        (folder / f"graph_96x96{suffix}").rename(folder / f"graph_64x96{suffix}")
    edit_manifest(folder, graphs=[{"canvas_hw": [64, 96], "file": "graph_64x96.xml"}],
                  hashes={name.replace("96x", "64x"): value
                          for name, value in hashes.items()})


def unlist_weights(folder):
    path = next(folder.glob("*.bin"))
    hashes = json.loads((folder / "detkit.json").read_text())["hashes"]
    del hashes[path.name]
    edit_manifest(folder, hashes=hashes)
    path.write_bytes(b"short")


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [(lambda folder: (folder / "detkit.json").unlink(), "is not an exported engine"),
     (lambda folder: (folder / "detkit.json").write_text("{"), "cannot be read"),
     (lambda folder: (folder / "detkit.json").write_text("[]"), "cannot be read"),
     (lambda folder: edit_manifest(folder, version=99), "got 99, expected 1"),
     (lambda folder: edit_manifest(folder, classes=None), "has an invalid value"),
     (lambda folder: edit_manifest(folder, format="caffe"), "got caffe"),
     (lambda folder: edit_manifest(folder, graphs=[]), "graphs: got none"),
     (lambda folder: edit_manifest(folder, graphs=[{"canvas_hw": [96, 96], "file": "../x.xml"}]),
      "got ../x.xml"),
     (lambda folder: edit_manifest(
         folder, graphs=[{"canvas_hw": [64, 64], "file": "graph_96x96.xml"}]),
      "expected graph_64x64.xml"),
     (lambda folder: edit_manifest(folder, max_results=float("inf")), "has an invalid value"),
     (lambda folder: edit_manifest(
         folder, rule={"scale": [0, 96], "divisor": 32, "interpolation": "bilinear"}),
      "has an invalid value"),
     (lambda folder: (folder / "detkit.json").write_text("[" * 100_000), "cannot be read"),
     (lambda folder: edit_manifest(folder, max_results=10**9), "max_results: got 1000000000"),
     (lambda folder: edit_manifest(folder, max_results=7), "results per image: got 20, expected 7"),
     (lambda folder: edit_manifest(folder, classes=[]), "classes: got none"),
     (lambda folder: edit_manifest(folder, precision="f" * 10**6), "precision: got fff"),
     (lambda folder: edit_manifest(
         folder, graphs=[{"canvas_hw": [10**6, 10**6], "file": "graph_1000000x1000000.xml"}]),
      "canvas_hw: got 1000000x1000000"),
     (lambda folder: edit_manifest(
         folder, graphs=[{"canvas_hw": [32, n], "file": f"graph_32x{n}.xml"}
                         for n in range(32, 5000)]), "graphs: got 4968"),
     (lambda folder: edit_manifest(folder, hashes={str(n): ""
                                                   for n in range(5000)}), "hashes: got 5000"),
     (lambda folder: edit_manifest(
         folder, rule={"scale": [int("9" * 400), 96], "divisor": 32, "interpolation": "bilinear"}),
      "rule: got 999"),
     (lambda folder: (folder / "detkit.json").write_bytes(b" " * (17 << 20)), "its size: got"),
     (lambda folder: make_named_pipe(folder / "detkit.json"), "is a named pipe"),
     (lambda folder: make_named_pipe(next(folder.glob("*.bin"))), "is a named pipe"),
     (change_input_size, r"images: got uint8 of shape \(\?, 96, 96, 3\), expected .* 64, 96, 3"),
     (lambda folder: edit_manifest(
         folder, format="torch", graphs=[{"canvas_hw": [96, 96], "file": "graph_96x96.pt2"}]),
      "got graph_96x96.pt2.*export the checkpoint again"),
     (unlist_weights, "not a valid OpenVINO model"),
     (lambda folder: next(folder.glob("*.bin")).unlink(), "is missing"),
     (corrupt_graph, "changed after the export"), ], ids=[
         "no-json", "broken-json", "list", "version", "classes", "format", "no-graphs", "outside",
         "input-size", "infinite", "resize", "deep", "many-results", "other-results", "no-classes",
         "precision", "huge-input", "many-graphs", "many-files", "long-number", "large", "pipe",
         "pipe-graph", "other-input-size", "pt2", "unlisted", "missing", "changed"
     ])
def test_invalid_folder_raises_one_line_error(exported, tmp_path, corrupt, message):
    folder = tmp_path / "engine"
    shutil.copytree(exported, folder)
    corrupt(folder)
    with pytest.raises(ExportError, match=message) as error_info:
        EnginePredictor.from_folder(folder)
    assert "\n" not in str(error_info.value) and len(str(error_info.value)) < 1000


def test_label_outside_classes_raises_weights_error(exported, dataset, tmp_path):
    folder = tmp_path / "engine"
    shutil.copytree(exported, folder)
    edit_manifest(folder, classes=["car"])
    engine = EnginePredictor.from_folder(folder, score_threshold=0.0)
    with pytest.raises(WeightsError, match=r"got label [12], expected 0\.\.0"):
        engine(sorted((dataset / "val").iterdir()))


def test_engine_of_other_format_raises_export_error(exported):
    with pytest.raises(ExportError, match="auto or openvino"):
        EnginePredictor.from_folder(exported, engine="torch")


def test_existing_files_are_not_overwritten(thumbnail, dataset, tmp_path):
    existing = tmp_path / "mine"
    existing.mkdir()
    (existing / "notes.txt").write_text("content")
    (tmp_path / "file").write_text("content")
    for name, force, message in (
            ("mine", False, "not empty"), ("mine", True, "is not an exported engine"),
            ("file", True, "is a file")):
        with pytest.raises(ExportError, match=message):
            export(thumbnail, tmp_path / name, ExportConfig(data=str(dataset), force=force))
    assert (existing / "notes.txt").read_text() == (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize(("config", "message"), [
    (ExportConfig(), "by --data"),
    (ExportConfig(data="nowhere"), "no such folder"),
    (ExportConfig(format="onnx", precision="int8"), "--format openvino"),
    (ExportConfig(format="torch", precision="int8"), "--format openvino"),
    (ExportConfig(format="onnx", precision="bf16"), "f32"),
    (ExportConfig(device="tpu"), "tpu"),
    (ExportConfig(sizes=[(50, 64)], data="own"), "multiples of 32"),
], ids=["no-data", "absent", "onnx-int8", "torch-int8", "onnx-bf16", "device", "size"])
def test_invalid_export_raises_one_line_error_and_leaves_no_files(
    thumbnail, dataset, tmp_path, config, message
):
    if config.data == "own":
        config = ExportConfig(sizes=config.sizes, data=str(dataset))
    with pytest.raises(DetkitError, match=message) as error_info:
        export(thumbnail, tmp_path / "engine", config)
    assert "\n" not in str(error_info.value)
    assert not list(tmp_path.iterdir())


def test_classifier_raises_export_error(class_thumbnail, tmp_path):
    with pytest.raises(ExportError, match="classifier"):
        export(class_thumbnail, tmp_path / "engine", ExportConfig())


RESIZE = ResizeSpec((320, 320), 32)


@pytest.mark.parametrize(("sizes", "image_sizes", "expected"), [
    ((), [], [(320, 320)]),
    ((), [(480, 640)] * 3, [(256, 320), (320, 320)]),
    ((), [(640, 480)] + [(480, 640)] * 2, [(256, 320), (320, 256), (320, 320)]),
    # Heights at a width of 320: 320, 213, 160, 128, 107, 91, 80, 71, 64; at most four sizes.
    ((), [(100, 100 + 50 * n) for n in range(9)],
     [(96, 320), (128, 320), (320, 320), (224, 320)]),
    ([640], [(480, 640)], [(480, 640), (640, 640)]),
    ([(96, 128), (96, 128), (128, 96)], [(480, 640)], [(96, 128), (128, 96)]),
], ids=["none", "one", "most-first", "many", "longer-side", "explicit"])
def test_input_sizes_are_most_frequent_first(sizes, image_sizes, expected):
    assert select_input_sizes(resize_spec_for_sizes(RESIZE, sizes), sizes, image_sizes) == expected


@pytest.mark.parametrize(("original_hw", "expected"), [
    ((480, 640), (256, 320)),
    ((640, 480), (320, 320)),
    ((100, 1000), (256, 320)),
    ((100, 100), (320, 320)),
])
def test_smallest_fitting_input_size_is_selected(original_hw, expected):
    assert select_input_hw(RESIZE, original_hw, [(320, 320), (256, 320)]) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("form", "precision"), [
    ("onnx", "f32"), ("torch", "f32"), ("openvino", "int8")])
def test_other_formats_pass_accuracy_check_and_load(
    form, precision, thumbnail, dataset, tmp_path
):
    # int8 changes the detections of untrained weights on noise a lot; AP is not tested here.
    drop = 100.0 if precision == "int8" else None
    config = ExportConfig(form, precision, data=str(dataset), device="cpu", max_ap_drop=drop)
    result = export(thumbnail, tmp_path / "engine", config)
    assert result.folder is not None
    engine = EnginePredictor.from_folder(result.folder, score_threshold=0.0)
    assert engine.precision == precision
    assert len(engine(sorted((dataset / "val").iterdir()))) == 4
