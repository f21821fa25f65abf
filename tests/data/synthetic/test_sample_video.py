"""The video of the sample and the annotations of its frames."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from detkit.data.synthetic.object_shapes import CLASSES
from detkit.data.synthetic.video import draw_frames, random_tracks, write_video

av = pytest.importorskip("av", reason="the video needs PyAV (the extra 'video')")
SIZE_HW, FRAMES = (144, 192), 40


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    file = tmp_path_factory.mktemp("v") / "video.mp4"
    return file, write_video(file, 0, FRAMES, SIZE_HW)


def test_every_frame_decodes_and_is_annotated(video):
    file, ground_truth = video
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == 30
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == len(ground_truth["images"]) == FRAMES
    assert all(frame.shape == (*SIZE_HW, 3) for frame in frames)
    assert [image["frame_index"] for image in ground_truth["images"]] == list(range(FRAMES))
    counted = {a["image_id"] for a in ground_truth["annotations"] if not a["iscrowd"]}
    assert counted == {image["id"] for image in ground_truth["images"]}


def test_decoded_frames_match_the_drawn_frames(video):
    # H.264 at this quality changes a pixel by a few gray levels, a wrong frame by far more.
    file, _ = video
    with av.open(str(file)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    drawn = [image for image, _ in draw_frames(0, FRAMES, SIZE_HW)]
    for index in (0, 17, FRAMES - 1):
        same_frame = np.abs(decoded[index].astype(int) - drawn[index]).mean()
        other_frame = np.abs(decoded[index].astype(int) - drawn[(index + 9) % FRAMES]).mean()
        assert same_frame < 6 and same_frame < 0.5 * other_frame


def test_tracks_keep_their_class_move_and_are_sometimes_occluded(video):
    _, ground_truth = video
    boxes_by_track: dict[int, list[list[int]]] = {}
    classes: dict[int, set[int]] = {}
    for annotation in ground_truth["annotations"]:
        boxes_by_track.setdefault(annotation["track_id"], []).append(annotation["bbox"])
        classes.setdefault(annotation["track_id"], set()).add(annotation["category_id"])
        x, y, width, height = annotation["bbox"]
        assert 0 <= x < x + width <= SIZE_HW[1] and 0 <= y < y + height <= SIZE_HW[0]
        assert annotation["iscrowd"] == int(annotation["visibility"] < 0.3)
    assert len(boxes_by_track) >= 5
    assert all(len(names) == 1 for names in classes.values())
    assert all(len(set(map(tuple, boxes))) > len(boxes) / 2 for boxes in boxes_by_track.values())
    assert any(0.3 < a["visibility"] < 0.95 for a in ground_truth["annotations"])


def test_each_track_appears_once_per_frame(video):
    pairs = [(a["image_id"], a["track_id"]) for a in video[1]["annotations"]]
    assert len(pairs) == len(set(pairs))


def test_pycocotools_loads_the_annotations(video, tmp_path):
    file = tmp_path / "video.json"
    file.write_text(json.dumps(video[1]))
    ground_truth = COCO(file)
    assert len(ground_truth.getImgIds()) == FRAMES and len(ground_truth.getCatIds()) == 10


def test_video_has_all_classes_and_no_empty_frame():
    tracks = random_tracks(0, 180, (480, 640))
    assert sorted(track.label for track in tracks) == list(range(len(CLASSES)))
    for frame in range(180):
        poses = [track.pose(frame) for track in tracks]
        inside = [pose for pose in poses if 0 < pose.x < 640 and 0 < pose.y < 480]
        assert len(inside) >= 3  # the stationary tracks


def test_zero_frames_give_no_annotations():
    assert list(draw_frames(0, 0, SIZE_HW)) == []
