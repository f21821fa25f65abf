"""The dataset of labelled pictures: from a list and from class folders."""

import pickle

import pytest
import torchvision
from class_sets import Pictures
from torch.utils.data import DataLoader

from detkit.data.classification.cls_dataset import ClassDataset
from detkit.errors import DataError
from detkit.registry import DATASETS

CLASSES = {"classes": ("cat", "dog")}


def from_list(tmp_path, text, metainfo=CLASSES, **how):
    file = tmp_path / "list.csv"
    file.write_text(text)
    return ClassDataset("list.csv", metainfo, str(tmp_path), {"img": "pics"},
                        **{"serialize_data": False, **how})


def test_paths_labels_and_boxes_of_a_list(tmp_path):
    dataset = from_list(tmp_path, "path,label,x1,y1,x2,y2\na.jpg,dog,1,2.5,3,4\n"
                        '"b,c.jpg",cat,0,0,9,9\n')
    assert [dataset.get_data_info(at) for at in range(len(dataset))] == [
        {"img_path": f"{tmp_path}/pics/a.jpg", "gt_label": 1, "box_xyxy": [1.0, 2.5, 3.0, 4.0],
         "sample_idx": 0},
        {"img_path": f"{tmp_path}/pics/b,c.jpg", "gt_label": 0, "box_xyxy": [0.0, 0.0, 9.0, 9.0],
         "sample_idx": 1}]
    assert dataset.get_cat_ids(0) == [1] and dataset.labels().tolist() == [1, 0]
    assert dataset.labels().dtype == "int64" and dataset.metainfo["classes"] == ("cat", "dog")


@pytest.mark.parametrize("indices", [None, 2, [2, 0]])
@pytest.mark.parametrize("serialize", [True, False])
def test_labels_follow_what_is_left_of_the_list(tmp_path, indices, serialize):
    dataset = from_list(tmp_path, "path,label\na,dog\nb,cat\nc,dog\n", indices=indices,
                        serialize_data=serialize)
    expected = {"None": [1, 0, 1], "2": [1, 0], "[2, 0]": [1, 1]}
    assert dataset.labels().tolist() == expected[str(indices)]
    assert dataset.get_subset([0]).labels().tolist() == [1]


def test_class_folders_are_numbered_as_torchvision_numbers_them(tmp_path):
    pictures = Pictures(tmp_path).fill("b", 2).fill("A", 2).fill("a/deep", 1)
    dataset = ClassDataset(data_prefix={"img": str(tmp_path)}, serialize_data=False)
    theirs = torchvision.datasets.ImageFolder(str(pictures.root))
    assert [(info["img_path"], info["gt_label"]) for info in map(
        dataset.get_data_info, range(len(dataset)))] == theirs.samples
    assert list(dataset.metainfo["classes"]) == theirs.classes


def test_stated_classes_give_the_order_of_class_folders(tmp_path):
    Pictures(tmp_path).fill("cat", 1).fill("dog", 1)
    dataset = ClassDataset(metainfo={"classes": ("dog", "emu", "cat")}, data_root=str(tmp_path),
                           data_prefix={"img": "."}, serialize_data=False)
    assert dataset.labels().tolist() == [2, 0]


def test_it_is_built_by_name_and_read_by_workers(tmp_path):
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(
        f"{at}.jpg,{'dog' if at % 3 else 'cat'}\n" for at in range(20)))
    dataset = DATASETS.build({
        "type": "ClassDataset", "ann_file": str(tmp_path / "list.csv"), "metainfo": CLASSES,
        "data_prefix": {"img": str(tmp_path)}, "pipeline": []})
    loader = DataLoader(dataset, batch_size=None, num_workers=2)
    read = [int(info["gt_label"]) for info in loader]
    copy = pickle.loads(pickle.dumps(dataset))
    assert read == dataset.labels().tolist() == copy.labels().tolist()


@pytest.mark.parametrize("text, message", [
    ("", "not a list of labelled pictures: got the first line ''"),
    ("path,label\n", "it names no picture"),
    ("a.jpg cat\n", "got the first line 'a.jpg cat', expected 'path,label'"),
    ("path,label\na.jpg,cat\nb.jpg,dgo\n", "list.csv, line 3: 'b.jpg' has the label 'dgo', which "
     "is none of the 2 classes; did you mean 'dog'?"),
    ("path,label\na.jpg\n", "line 2: not a path and a label: got a.jpg"),
    ("path,label\na.jpg,\n", "line 2: not a path and a label"),
    ("path,label,x1,y1,x2,y2\na.jpg,cat,1,2,3\n", "line 2: .* and four numbers"),
    ("path,label,x1,y1,x2,y2\na.jpg,cat,1,2,1,4\n", "line 2: no box: got 1,2,1,4, expected x1"),
    ("path,label,x1,y1,x2,y2\na.jpg,cat,1,2,nan,4\n", "line 2: no box"),
    ("path,label,x1,y1,x2,y2\na.jpg,cat,a,b,c,d\n", "line 2: no box"),
])
def test_what_is_wrong_in_a_list_is_told_by_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        from_list(tmp_path, text)


def test_a_list_without_classes_is_refused(tmp_path):
    with pytest.raises(DataError, match="which classes there are; give it metainfo=dict"):
        from_list(tmp_path, "path,label\na.jpg,cat\n", metainfo=None)


@pytest.mark.parametrize("prefix, message", [
    ("", "'': no such folder"), ("absent", "absent': no such folder"),
    ("empty", "no class folder there holds a picture")])
def test_folders_that_are_none(tmp_path, prefix, message):
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match=message):
        ClassDataset(data_prefix={"img": str(tmp_path / prefix) if prefix else ""})


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="absent.csv: the list of pictures cannot be read"):
        ClassDataset(str(tmp_path / "absent.csv"), CLASSES)
