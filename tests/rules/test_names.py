"""Code is named by the terms of timm, mmdet, torchvision and supervision; earlier names are gone.

Only ``detkit/aliases.py``, the table of earlier names, has them.
"""

import ast

import pytest

# Classes, functions and constants of earlier versions, each replaced by the field's term.
EARLIER_NAMES = set("""
    ADAPTERS Answer Atlas BatchMixing Border BoxAP BoxPainter BoxPen BoxScores BoxStage Channel
    Chosen Clash ClassAdapter ClassDataPreprocessor ClassDataset ClassPainter ClassRecord ClassRow
    ClassSample ClassTable DenseBoxes DiskFile EngineState Exported Fault Figures Fitted
    FollowedDeformConv ImageFacts InputRule LayerDecayOptimWrapperConstructor LoadPicture Look
    LookStage Looks NOTHING OffsetsAtRest Order OutFile PackClassInputs Paint Part PictureNames
    Pictures Proposals Pyramid Row SampleAdapter Seen Select Setting StepModel Subject
    TeachingNetwork TrackPainter Tracked Translation WAYS
    apply_data as_array asked_flags ask backbone_in begin_backbone_from carried_classes check_whole
    choose_for_rate class_colour class_of content_of decide_classes dice divide_classes drawable
    enlarged family_of features_of fold free_relative_biases give_classes hold_batch_norms in_one
    ink inwards lay_priors load_exactly look may_lack multiplies_bytes names_in need_train not_read
    only_test open_data own_class_counts own_folder paint_of plain_name quantised
    read_any_checkpoint registry_below results_of rule_for rule_of save_picture seen_wh set_all
    settle_frame shapes_alone stand_in stand_ins take_data take_data_of throw_light turn_on_amp
    unseen unwrapped use_our_parts whole_number write_whole
""".split())


def defined_names(text):
    """(line, name) of the classes, functions and module-level names that a file defines."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name.lstrip("_")
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                yield node.lineno, target.id.lstrip("_")


def test_no_earlier_name_is_defined(repository):
    paths = [path for path in sorted((repository / "detkit").rglob("*.py"))
             if path.name != "aliases.py"]
    assert len(paths) > 200
    assert not [f"{path.relative_to(repository)}:{line}: {name}" for path in paths
                for line, name in defined_names(path.read_text(encoding="utf-8"))
                if name in EARLIER_NAMES]


@pytest.mark.parametrize(("text", "found"), [
    ("", False),
    ("class Seen:\n    pass", True),
    ("def _look():\n    pass", True),
    ("class A:\n    def look(self):\n        pass", True),
    ("WAYS = 1", True),
    ("look: int = 1", True),
    ("from torchvision import look", False),
    ("'look at Seen'", False),
])
def test_earlier_names_are_found(text, found):
    assert any(name in EARLIER_NAMES for _, name in defined_names(text)) == found
