"""LUNA16's nodules: where they lie, which voxels are theirs, and cubes around them, against loops over SimpleITK."""

import csv
import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from tools.data.cases import case_datalist, recognise
from tools.data.nodules import nodule_datalist
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.sample_store import SampleStore, SliceChoice
from tools.datasets.luna16 import LUNA16
from tools.datasets.record import Labels
from tools.inspect_data.command import inspect_data
from tools.io.readers import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.crops import nodule_crops
from tools.transforms.samples import LoadSampled, sample_slices
from tools.transforms.spheres import paint_spheres

CHANNELS = Channels({"ct": [-1000, 400]}, {"nodule": 1})
SIZE, SPACING = (20, 18, 12), (0.8, 0.7, 2.0)  # columns, rows, slices
NODULES = {"a": [(1.3, 2.1, -4.2, 6.4), (5.9, 0.4, 5.5, 3.0)], "b": [(7.0, 5.0, 9.0, 5.0)], "c": []}
"""Millimetres from the middle of the scan, along its axes, and diameter."""


def write_table(folder, rows, columns=("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")):
    with open(folder / "annotations.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture(scope="module")
def luna16(tmp_path_factory):
    """Scans a and c to train on, b to validate; a lies with its columns and rows reversed, as LUNA16's prone ones."""
    root = tmp_path_factory.mktemp("LUNA16")
    images, rows = {}, []
    for number, (name, nodules) in enumerate(NODULES.items()):
        voxels = np.random.default_rng(number).integers(-1000, 400, SIZE[::-1]).astype(np.int16)
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing(SPACING)
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1) if name == "a" else (1, 0, 0, 0, 1, 0, 0, 0, 1))
        image.SetOrigin((40.5 + number, -120.0, 17.0))
        folder = root / f"subset{9 if name == 'b' else number}"
        folder.mkdir()
        sitk.WriteImage(image, str(folder / f"{name}.mhd"))
        images[name] = image
        middle = np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in SIZE]))
        rows += [(name, *np.round(middle + nodule[:3], 3), nodule[3]) for nodule in nodules]
    write_table(root, rows)
    script = root / "evaluationScript" / "annotations"
    script.mkdir(parents=True)
    write_table(script, rows * 2)  # a copy, which counts nothing twice
    return root, images, rows


def items(root):
    return {item["id"]: item for part in ("training", "validation") for item in listed(root, part)}


def listed(root, section, make=nodule_datalist):
    return make(root, section) if make is nodule_datalist else make(LUNA16, root, section, labelled=True)


def in_nodule(image, index, rows):
    """Whether a voxel's centre is in one of these nodules, by the file's own coordinates (LPS)."""
    place = image.TransformIndexToPhysicalPoint(index)
    return any(math.dist(place, row[1:4]) <= row[4] / 2 for row in rows)


@pytest.mark.filterwarnings("ignore:.*is for validation")
def test_a_nodule_is_an_item_and_split_as_its_scan(luna16):
    root, images, rows = luna16
    assert recognise(root) is LUNA16
    assert [item["id"] for item in nodule_datalist(root, "training")] == ["a_1", "a_2"]
    found = items(root)
    for name, row in zip(("a_1", "a_2", "b_1"), rows, strict=True):
        image, item = images[row[0]], found[name]
        assert (item["subject"], item["diameter"]) == (row[0], row[4])
        assert item["centre"] == pytest.approx([-row[1], -row[2], row[3]])
        expected = image.TransformPhysicalPointToContinuousIndex([float(value) for value in row[1:4]])
        assert item["centre_voxels"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore:.*is for validation")
def test_labels_of_whole_scans_are_the_voxels_in_the_spheres(luna16):
    root, images, rows = luna16
    scans = {item["id"]: item for item in listed(root, "training", case_datalist)}
    assert list(scans) == ["a", "c"]
    made = LoadSampled(CHANNELS)(scans["a"])
    affine, label = made["label"].affine.numpy(), made["label"][0].numpy()
    image, counted = images["a"], 0
    for index in np.ndindex(SIZE):
        z, y, x = np.rint(np.linalg.solve(affine, lps_to_ras(image, index)))[:3].astype(int)
        inside = in_nodule(image, index, rows[:2])
        assert label[z, y, x] == inside
        counted += inside
    assert label.sum() == counted > 100
    assert made["known"].tolist() == [True]
    assert not LoadSampled(CHANNELS)(scans["c"])["label"].any()  # known to have none
    chain = sample_slices(CHANNELS, 20)
    store = SampleStore(list(scans.values()), chain, CHANNELS, None, SliceChoice(labels=["nodule"]))
    assert len(store) == label.any((1, 2)).sum()


def lps_to_ras(image, index):
    x, y, z = image.TransformIndexToPhysicalPoint(index)
    return [-x, -y, z, 1]


@pytest.mark.filterwarnings("ignore:.*is for validation")
@pytest.mark.parametrize("name", ["a_2", "b_1"])
def test_a_cube_in_the_voxels_of_the_scan(luna16, name):
    root, images, rows = luna16
    item = items(root)[name]
    image, own = images[name[0]], [row for row in rows if row[0] == name[0]]
    made = nodule_crops(CHANNELS, 14)(item)
    cube, label = made["image"], made["label"]
    assert cube.shape == label.shape == (1, 14, 14, 14)
    affine, centre, outside = cube.affine.numpy(), np.array(item["centre"]), 0
    voxel = np.abs(np.linalg.solve(affine, [*centre, 1])[:3] - 7)
    assert (voxel <= 0.5 + 1e-6).all()
    for place in np.ndindex(14, 14, 14):
        x, y, z = (affine @ [*place, 1])[:3]
        index = image.TransformPhysicalPointToIndex((-x, -y, z))
        if all(0 <= i < n for i, n in zip(index, SIZE, strict=True)):
            assert cube[0][place].item() == pytest.approx((image[index] + 1000) / 700 - 1, abs=1e-5)
        else:
            outside += 1
            assert cube[0][place] == -1  # of -1024 HU
        assert label[0][place] == in_nodule(image, index, own)
    assert 0 < outside < 14**3


@pytest.mark.filterwarnings("ignore:.*is for validation")
@pytest.mark.parametrize("spacing", [1.0, (1.5, 0.5, 0.6)])
def test_a_cube_in_millimetres(luna16, spacing):
    root, images, rows = luna16
    item = items(root)["a_1"]
    image = images["a"]
    made = nodule_crops(CHANNELS, 16, spacing)(item)
    affine = made["image"].affine.numpy()
    assert np.linalg.norm(affine[:3, :3], axis=0) == pytest.approx(np.broadcast_to(spacing, 3))
    assert affine @ [7.5, 7.5, 7.5, 1] == pytest.approx([*item["centre"], 1])
    # SciPy takes what is outside for -1024 everywhere
    voxels, where, inside = sitk.GetArrayFromImage(image).astype(float), [], []
    for place in np.ndindex(16, 16, 16):
        x, y, z = (affine @ [*place, 1])[:3]
        where.append(image.TransformPhysicalPointToContinuousIndex((-x, -y, z))[::-1])
        inside.append(any(math.dist((-x, -y, z), row[1:4]) <= row[4] / 2 for row in rows[:2]))
    hu = ndimage.map_coordinates(voxels, np.transpose(where), order=1, mode="grid-constant", cval=-1024)
    expected = np.clip((hu + 1000) / 700 - 1, -1, 1)
    assert made["image"].numpy().ravel() == pytest.approx(expected, abs=1e-4)
    assert np.array_equal(made["label"].numpy().ravel(), inside)
    assert (hu == -1024).any()


def test_spheres_have_the_volume_of_their_diameter_on_average():
    rng = np.random.default_rng(0)
    affine = np.diag([-0.7, -0.7, 1.25, 1])
    found = [paint_spheres((24, 24, 14), affine, [(*rng.uniform((-9, -9, 7), (-8, -8, 9)), 7.0)]) for _ in range(300)]
    assert np.mean([one.sum() for one in found]) * 0.7**2 * 1.25 == pytest.approx(math.pi / 6 * 7**3, rel=0.01)
    thin = paint_spheres((5, 5, 5), np.eye(4), [(2.4, 1.6, 3.4, 0.2)])
    assert np.argwhere(thin).tolist() == [[2, 2, 3]]
    assert not paint_spheres((5, 5, 5), np.eye(4), [(-40, 2, 2, 6)]).any()


@pytest.mark.filterwarnings("ignore:.*is for validation")
def test_phantoms_have_their_nodules_there(tmp_path):
    write_luna16_phantoms(tmp_path / "p", 4, 2, (32, 48, 48), nodules="half", progress=False)
    found = nodule_datalist(tmp_path / "p", "training")
    assert found
    for item in found:
        made = nodule_crops(CHANNELS, 32, 1.0)(item)
        hu = (made["image"].numpy() + 1) * 700 - 1000
        shell = ndimage.binary_dilation(made["label"][0].numpy(), iterations=3) & (made["label"][0].numpy() == 0)
        assert hu[0, 15:17, 15:17, 15:17].mean() > hu[0][shell].mean() + 100  # soft tissue in lung
    inspect_data(str(tmp_path / "p"), str(tmp_path / "out"))
    facts = json.loads((tmp_path / "out" / "data.json").read_text())
    said = facts["labels_ml"]["nodule"]
    assert facts["recognised_as"].startswith("luna16")
    assert (said["cases_with_it"], said["cases_labelled"]) == (2, 4)


def test_a_place_outside_and_bad_sizes_are_refused(luna16):
    root, _, _ = luna16
    item = nodule_datalist(root, "training")[0]
    x, y, z = item["centre"]
    with pytest.raises(Exception, match="CropCubed") as caught:
        nodule_crops(CHANNELS)(item | {"centre": [x, y, z + 40]})
    assert "a.mhd: the centre" in str(VolumeError.behind(caught.value))
    with pytest.raises(ValueError, match="spacing is 0, expected one number of mm above 0"):
        nodule_crops(CHANNELS, 32, 0)
    with pytest.raises(ValueError, match="image_size is 0"):
        nodule_crops(CHANNELS, 0)
    with pytest.raises(ValueError, match="labels by 'header' need a pattern, and no spheres"):
        Labels(None, {"nodule": 1})


@pytest.mark.filterwarnings("ignore:.*is for validation")
def test_damaged_tables_are_refused(luna16, tmp_path):
    root, _, rows = luna16
    for name in ("subset0", "subset2"):
        (tmp_path / name).symlink_to(root / name)
    with pytest.raises(VolumeError, match="a: lacks a label map"):
        nodule_datalist(tmp_path, "training")
    write_table(tmp_path, [])
    with pytest.raises(VolumeError, match="none of the 2 scans for training has a nodule"):
        nodule_datalist(tmp_path, "training")
    write_table(tmp_path, [rows[0], ("a", -rows[1][1], *rows[1][2:])])  # RAS instead of LPS
    with pytest.warns(UserWarning, match=r"a: .*a.mhd: a label at \(.*\) mm in RAS lies outside"):
        case_datalist(LUNA16, tmp_path, "training", labelled=True)
    for wrong in ("", "x", -3, "nan"):
        write_table(tmp_path, [rows[0], (*rows[1][:4], wrong)])
        with pytest.raises(ValueError, match=r"annotations\.csv, line 3: expected seriesuid"):
            nodule_datalist(tmp_path, "training")
    write_table(tmp_path, rows[:1], columns=("uid", "x", "y", "z", "d"))
    with pytest.raises(ValueError, match="line 2: expected seriesuid"):
        nodule_datalist(tmp_path, "training")
