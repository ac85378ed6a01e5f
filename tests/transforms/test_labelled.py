"""Samples written as a dataset: nibabel finds each class and value where it was put, in mm of the patient."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import load_decathlon_datalist

from tools.data.sample_folder import find_samples
from tools.datasets.decathlon import described
from tools.io.labelled_folder import LabelledFolder
from tools.io.provenance import Provenance
from tools.transforms.channels import Channels
from tools.transforms.labelled import WriteSamplesd
from tools.transforms.volume import PlaceVolumed
from tools.usefulness.samples import found_like

CHANNELS = Channels({"t1": 99.5, "ct": [-100, 300]}, {"anterior": 1, "posterior": 2})
SHAPE, EXTENT = (4, 5, 6), (8.0, 15.0, 6.0)


def folder_for(path, channels=CHANNELS):
    classes, grey_values = channels.classes, channels.grey_values
    return LabelledFolder(path, "Both", [*channels.images], classes, "MR", grey_values=grey_values)


@pytest.fixture
def written(tmp_path):
    """A sample whose values are all known, and what nibabel reads of it: two images and the label."""
    index = torch.randint(0, 3, (1, 1, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    image = torch.linspace(-1.2, 1.2, 2 * index.numel()).view(1, 2, *SHAPE)
    item = {"pred": CHANNELS.join(image, index)[0], "name": "one", "seed": 7}
    folder = folder_for(tmp_path)
    WriteSamplesd(CHANNELS, folder, Provenance("joint", "0.1.0"))(PlaceVolumed("pred", EXTENT)(item))
    folder.finish()
    (case,) = load_decathlon_datalist(tmp_path / "dataset.json", is_segmentation=True, data_list_key="training")
    return image[0], index[0, 0], [nib.load(path) for path in (*case["image"], case["label"])]


def test_every_voxel_lies_where_it_was_put(written):
    (t1, ct), index, files = written
    for file in files:
        assert nib.aff2axcodes(file.affine) == ("R", "A", "S")
    read = [np.asanyarray(file.dataobj) for file in files]
    for d, h, w in np.ndindex(SHAPE):
        # slices run to the head, rows to the back and columns to the left, around the origin
        mm = [-(w - 2.5) * 1.0, -(h - 2) * 3.0, (d - 1.5) * 2.0]
        i, j, k = np.rint(np.linalg.inv(files[0].affine) @ [*mm, 1])[:3].astype(int)
        assert read[2][i, j, k] == index[d, h, w]
        assert abs(read[0][i, j, k] - min(max((t1[d, h, w] + 1) / 2 * 1000, 0), 1000)) <= 0.501
        assert abs(read[1][i, j, k] - min(max((ct[d, h, w] + 1) / 2 * 400 - 100, -100), 300)) <= 0.501


def test_every_file_says_that_it_is_synthetic(written):
    for file in written[2]:
        assert b"synthetic joint 0.1.0 seed 7" in bytes(file.header["descrip"])


def test_folder_and_channels_must_agree(tmp_path):
    other = Channels({"t1": 99.5}, {"anterior": 1, "posterior": 2})
    with pytest.raises(ValueError, match=r"the folder is for images \('t1',\)"):
        WriteSamplesd(CHANNELS, folder_for(tmp_path, other), Provenance("joint", "0.1.0"))


def test_a_slice_is_written_with_classes_without_gaps_and_images_alone_without_labels(tmp_path):
    """Values 1, 2 and 4 of the files that were read become 1, 2 and 3."""
    channels = Channels({"t1": 99.5, "t2": 99.5}, {"core": 1, "oedema": 2, "enhancing": 4})
    index = torch.tensor([[0, 1, 2], [3, 3, 0]], dtype=torch.uint8).view(1, 1, 2, 3)
    sample = channels.join(torch.zeros(1, 2, 2, 3), index)[0]
    item = PlaceVolumed("pred", (3.0, 4.0, 6.0))({"pred": sample, "name": "one"})
    for name, kept in (("labelled", channels), ("alone", Channels(channels.images))):
        folder = folder_for(tmp_path / name, kept)
        WriteSamplesd(kept, folder, Provenance("joint", "0.1.0"))(item | {"pred": item["pred"][: kept.number]})
        (case,) = json.loads(folder.finish().read_text())["training"]
        images = [nib.load(tmp_path / name / path) for path in case["image"]]
        assert [image.shape for image in images] == [(3, 2, 1)] * 2
        assert images[0].header.get_zooms() == (2, 2, 3)
        assert np.asarray(images[1].dataobj).tolist() == np.full((3, 2, 1), 500).tolist()
        assert ("label" in case) == (name == "labelled")
    label = np.asarray(nib.load(tmp_path / "labelled" / "labelsTr" / "one.nii.gz").dataobj)
    assert label[::-1, ::-1, 0].T.tolist() == [[0, 1, 2], [3, 3, 0]]


def test_grey_values_of_samples_are_read_again_as_they_were_made(tmp_path):
    """Not scaled by their own brightest voxels, as scans are: a dark sample stays dark."""
    channels = Channels({"t1": 99.5}, {"anterior": 1, "posterior": 2})
    generator = torch.Generator().manual_seed(1)
    index = torch.randint(0, 3, (1, 1, 8, 8, 8), generator=generator).to(torch.uint8)
    images = {name: top * torch.rand(1, 1, 8, 8, 8, generator=generator) - 1 for name, top in (("a", 0.8), ("b", 2.0))}
    folder = folder_for(tmp_path / "made", channels)
    write = WriteSamplesd(channels, folder, Provenance("joint", "0.1.0"))
    for name, image in images.items():
        sample = channels.join(image, index)[0]
        write(PlaceVolumed("pred", (8.0, 8.0, 8.0))({"pred": sample, "name": name, "seed": 0}))
    said = json.loads(folder.finish().read_text())
    assert said["grey_values"] == {"0": [0, 1000]}
    found = find_samples(tmp_path / "made")
    assert found.channels.images == {"t1": (0, 1000)}
    chain = found.chain("volumes", 8, None)
    for item in found.items:
        read = chain(item)
        assert read["image"].as_tensor()[0].numpy() == pytest.approx(images[item["id"]][0, 0].numpy(), abs=0.0011)
    # whoever asks for another scale gets it
    assert find_samples(tmp_path / "made", {"t1": 99.5}).channels.images == {"t1": 99.5}
    # a folder of scans says none, and each is scaled by itself
    scans = LabelledFolder(tmp_path / "scans", "scans", ("mr",), {"background": 0}, "MR")
    scans.add("one", [np.arange(27.0).reshape(3, 3, 3)], None, np.eye(4), Provenance("none", "0").record(0))
    assert "grey_values" not in json.loads(scans.finish().read_text())
    assert find_samples(tmp_path / "scans").channels.images == {"mr": 99.5}
    # one image may have another name in the samples, and keeps their scale
    assert found_like("made", str(tmp_path / "made"), {"mr": 99.5}).channels.images == {"t1": (0, 1000)}
    assert found_like("scans", str(tmp_path / "scans"), {"t1": 90.0}).channels.images == {"mr": 90.0}


def test_grey_values_that_are_none_are_refused(tmp_path):
    folder = folder_for(tmp_path)
    path = folder.finish()
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"grey_values": {"0": 7}}))
    with pytest.raises(ValueError, match=r"dataset\.json is no description of a dataset"):
        described(tmp_path)
