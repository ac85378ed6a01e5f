"""Label maps in turn, and folders that have none."""

import json

import pytest

from tools.data.cases import labelled_dataset
from tools.data.label_maps import label_maps, labelled_scans
from tools.io.readers import VolumeError


def test_maps_come_in_turn_each_with_a_seed_of_its_own(tmp_path):
    for name in ("b.nii.gz", "a.mha", ".hidden.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    items = label_maps(tmp_path, 3, seed=5, name="made")
    assert [(item["label_map"], item["seed"], item["name"]) for item in items] == [
        (str(tmp_path / "a.mha"), 5, "made_a_seed00005"),
        (str(tmp_path / "b.nii.gz"), 6, "made_b_seed00006"),
        (str(tmp_path / "a.mha"), 7, "made_a_seed00007"),
    ]
    assert all("label_values" not in item for item in items)


def test_a_datasets_own_values_come_with_its_maps(tmp_path):
    (tmp_path / "labelsTr").mkdir()
    (tmp_path / "labelsTr" / "x.nii.gz").touch()
    said = {"modality": {"0": "CT"}, "labels": {"0": "background", "3": "Lung"}}
    (tmp_path / "dataset.json").write_text(json.dumps(said))
    (item,) = label_maps(tmp_path, 1)
    assert item["label_values"] == {"lung": 3}
    assert item["label_map"].endswith("labelsTr/x.nii.gz")


def test_a_label_map_has_one_image(tmp_path):
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTr/ab_0000.nii.gz", "labelsTr/ab.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    items = labelled_scans(tmp_path, 2)
    assert [item["image"] for item in items] == [str(tmp_path / f"imagesTr/{n}_0000.nii.gz") for n in ("a", "ab")]
    (tmp_path / "imagesTr/a_0000.nii.gz").unlink()
    with pytest.raises(VolumeError, match=r"expected one image of it, imagesTr/a_0000.nii.gz, found 0"):
        labelled_scans(tmp_path, 1)


def test_folders_without_label_maps_say_what_was_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no label map in .*give a folder of them with --dataset_dir"):
        label_maps(tmp_path, 1)
    with pytest.raises(ValueError, match="holds no dataset that is known; expected images with label maps"):
        labelled_dataset(tmp_path)
