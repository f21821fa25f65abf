"""The dataset of labeled images: from a list and from class folders."""

import pickle

import pytest
import torchvision
from class_sets import ImageSet
from torch.utils.data import DataLoader

from detkit.data.classification.cls_dataset import ClsDataset
from detkit.errors import DataError
from detkit.registry import DATASETS

CLASSES = {"classes": ("cat", "dog")}


def make_dataset(tmp_path, text, metainfo=CLASSES, **kwargs):
    file = tmp_path / "list.csv"
    file.write_text(text)
    return ClsDataset("list.csv", metainfo, str(tmp_path), {"img": "pics"},
                      **{"serialize_data": False, **kwargs})


def test_paths_labels_and_boxes_of_a_list(tmp_path):
    dataset = make_dataset(
        tmp_path, "path,label,x1,y1,x2,y2\na.jpg,dog,1,2.5,3,4\n"
        '"b,c.jpg",cat,0,0,9,9\n')
    assert [dataset.get_data_info(index) for index in range(len(dataset))] == [
        {"img_path": f"{tmp_path}/pics/a.jpg", "gt_label": 1, "box_xyxy": [1.0, 2.5, 3.0, 4.0],
         "sample_idx": 0},
        {"img_path": f"{tmp_path}/pics/b,c.jpg", "gt_label": 0, "box_xyxy": [0.0, 0.0, 9.0, 9.0],
         "sample_idx": 1}]
    assert dataset.get_cat_ids(0) == [1] and dataset.get_gt_labels().tolist() == [1, 0]
    assert dataset.get_gt_labels().dtype == "int64" and dataset.metainfo["classes"] == (
        "cat",
        "dog",
    )


@pytest.mark.parametrize("indices", [None, 2, [2, 0]])
@pytest.mark.parametrize("serialize", [True, False])
def test_labels_follow_indices_and_subsets(tmp_path, indices, serialize):
    dataset = make_dataset(tmp_path, "path,label\na,dog\nb,cat\nc,dog\n", indices=indices,
                           serialize_data=serialize)
    expected = {"None": [1, 0, 1], "2": [1, 0], "[2, 0]": [1, 1]}
    assert dataset.get_gt_labels().tolist() == expected[str(indices)]
    assert dataset.get_subset([0]).get_gt_labels().tolist() == [1]


def test_class_folders_are_numbered_as_torchvision_numbers_them(tmp_path):
    image_set = ImageSet(tmp_path).fill("b", 2).fill("A", 2).fill("a/deep", 1)
    dataset = ClsDataset(data_prefix={"img": str(tmp_path)}, serialize_data=False)
    reference = torchvision.datasets.ImageFolder(str(image_set.root))
    assert [(info["img_path"], info["gt_label"]) for info in map(
        dataset.get_data_info, range(len(dataset)))] == reference.samples
    assert list(dataset.metainfo["classes"]) == reference.classes


def test_stated_classes_give_the_order_of_class_folders(tmp_path):
    ImageSet(tmp_path).fill("cat", 1).fill("dog", 1)
    dataset = ClsDataset(metainfo={"classes": ("dog", "emu", "cat")}, data_root=str(tmp_path),
                         data_prefix={"img": "."}, serialize_data=False)
    assert dataset.get_gt_labels().tolist() == [2, 0]


def test_dataset_builds_from_registry_and_works_in_workers(tmp_path):
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(
        f"{index}.jpg,{'dog' if index % 3 else 'cat'}\n" for index in range(20)))
    dataset = DATASETS.build({
        "type": "ClsDataset", "ann_file": str(tmp_path / "list.csv"), "metainfo": CLASSES,
        "data_prefix": {"img": str(tmp_path)}, "pipeline": []})
    loader = DataLoader(dataset, batch_size=None, num_workers=2)
    read = [int(info["gt_label"]) for info in loader]
    copy = pickle.loads(pickle.dumps(dataset))
    assert read == dataset.get_gt_labels().tolist() == copy.get_gt_labels().tolist()


@pytest.mark.parametrize("text, message", [
    ("", "not a csv of labeled images: got the first line ''"),
    ("path,label\n", "it lists no image"),
    ("a.jpg cat\n", "got the first line 'a.jpg cat', expected 'path,label'"),
    ("path,label\na.jpg,cat\nb.jpg,dgo\n", "list.csv, line 3: 'b.jpg' has the label 'dgo', which "
     "is not among the 2 classes; did you mean 'dog'?"),
    ("path,label\na.jpg\n", "line 2: not a path and a label: got a.jpg"),
    ("path,label\na.jpg,\n", "line 2: not a path and a label"),
    ("path,label,x1,y1,x2,y2\na.jpg,cat,1,2,3\n", "line 2: .* and four numbers"),
    ("path,label,x1,y1,x2,y2\na.jpg,cat,1,2,1,4\n", "line 2: not a valid box: got 1,2,1,4"),
    ("path,label,x1,y1,x2,y2\na.jpg,cat,1,2,nan,4\n", "line 2: not a valid box"),
    ("path,label,x1,y1,x2,y2\na.jpg,cat,a,b,c,d\n", "line 2: not a valid box"),
])
def test_list_errors_name_the_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        make_dataset(tmp_path, text)


def test_a_list_without_classes_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no metainfo with its classes; set metainfo=dict"):
        make_dataset(tmp_path, "path,label\na.jpg,cat\n", metainfo=None)


@pytest.mark.parametrize("prefix, message", [
    ("", "'': no such folder"), ("absent", "absent': no such folder"),
    ("empty", "none of its class folders holds an image")])
def test_missing_or_empty_class_folders_raise(tmp_path, prefix, message):
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match=message):
        ClsDataset(data_prefix={"img": str(tmp_path / prefix) if prefix else ""})


def test_missing_list_file_raises(tmp_path):
    with pytest.raises(DataError, match="absent.csv: the csv of images cannot be read"):
        ClsDataset(str(tmp_path / "absent.csv"), CLASSES)
