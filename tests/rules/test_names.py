"""Names are the field's: none of the words that the project once made up for itself comes back."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from detkit import aliases

# Earlier names of classes, functions, parameters and attributes. Words of them that are also plain
# English or another library's (kind, rate, counts, groups) are not here.
EARLIER_NAMES = frozenset("""
    ADAPTERS Answer Atlas BatchMixing Border BoxAP BoxPainter BoxPen BoxScores BoxStage Channel
    Chosen Clash ClassAdapter ClassDataPreprocessor ClassDataset ClassPainter ClassRecord
    ClassRow ClassSample ClassScores ClassTable DenseBoxes DiskFile EngineState Exported Fault
    Figures Fitted FollowedDeformConv ImageFacts InputRule LayerDecayOptimWrapperConstructor
    LoadPicture Look LookStage Looks NOTHING OffsetsAtRest Order OutFile PackClassInputs Paint
    Part PictureNames Pictures Proposals Pyramid SampleAdapter Seen Select Setting StepModel
    Subject TeachingNetwork TrackPainter Tracked Translation WAYS _Behind _Target
    _first_process_does _of_the_likeliest _open_boxes _take_foreign apply_data as_array ask
    asked_flags backbone_in begin_backbone_from canvas_hw carried_classes check_whole
    choose_for_rate class_colour class_of content_of decide_classes derive develop dice
    divide_classes drawable enlarged family_of features_of fold followed free_relative_biases
    give_classes hold_batch_norms in_one ink inwards laid lay_priors load_exactly look may_lack
    multiplies_bytes names_in need_train newest not_read only_test open_data ours own
    own_class_counts own_folder paint_of paints picture pictures plain_name quantised
    read_any_checkpoint refuse registry_below results_of rule_for rule_of run_verb save_picture
    seen_wh set_all settle_frame shapes_alone sound stand_in stand_ins survey take_data
    take_data_of theirs throw_light told translate_swin turn_on_amp twin unseen unwrapped
    use_our_parts verb verbs wanted whole_number write_whole
""".split())
# Keys of files that were written and are read by others, which keep their words.
FILE_KEYS = frozenset({
    "picture", "pictures", "picture_with_two_labels", "picture_without_class", "not_a_picture",
    "normalise", *aliases.FLAGS,
})
BRITISH = re.compile(r"colour|quantis|normalis|initialis|centre\b|grey\b", re.IGNORECASE)


def names_of(text: str) -> set[str]:
    """The identifiers of a source text; names in strings are not among them."""
    return {token.string for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.NAME}


def sources(repository: Path) -> list[Path]:
    return [path for path in sorted((repository / "detkit").rglob("*.py"))
            if path.name != "aliases.py"]


def lines_with(pattern: re.Pattern[str], repository: Path) -> list[str]:
    """The lines of the code that hold the pattern elsewhere than in a quoted key of a file."""
    key = re.compile("|".join(f"[\"'`]{re.escape(word)}[\"'`]" for word in FILE_KEYS))
    return [f"{path.relative_to(repository)}:{number}: {line.strip()}"
            for path in sources(repository)
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if pattern.search(key.sub("", line))]


def test_no_earlier_name_is_in_the_code(repository: Path) -> None:
    left = {f"{path.relative_to(repository)}: {name}" for path in sources(repository)
            for name in names_of(path.read_text()) & EARLIER_NAMES}
    assert not left


def test_images_are_called_images(repository: Path) -> None:
    assert not lines_with(re.compile("picture", re.IGNORECASE), repository)


def test_spelling_is_american(repository: Path) -> None:
    assert not lines_with(BRITISH, repository)


@pytest.mark.parametrize("text, expected", [
    ("def look(image): ...", {"look"}), ("x = 'look'", set()), ("# look", set()),
    ("a.look", {"look"}), ("f'{told}'", set()), ("outlook = 1", set()),
], ids=str)
def test_the_rule_sees_identifiers_alone(text: str, expected: set[str]) -> None:
    assert names_of(text) & EARLIER_NAMES == expected


def test_every_alias_is_an_earlier_name() -> None:
    assert set(aliases.TYPES) | set(aliases.EXPORTS) <= EARLIER_NAMES
