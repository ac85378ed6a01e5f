"""Nodules in lungs: where there is room, what stays as it was, what is written for a detector."""

import csv

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Orientation

from tools.data.nodules import chest_scans, nodule_datalist, paintable, scans_to_paint, seeded_nodules
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.phantoms.thorax import Thorax, thorax_ct
from tools.io.painted_folder import PaintedFolder
from tools.io.provenance import Provenance
from tools.io.readers import VolumeError, read_volume
from tools.io.volume_reader import volume_header
from tools.transforms.lungs import lung_mask, places_in_lungs
from tools.transforms.nodules import CutNodulesd, PasteNodulesd, WritePaintedd

WINDOW, SIZE, SPACING, MARGIN = (-1000, 400), 32, 2.0, 4.0


@pytest.fixture(scope="module")
def phantom():
    return thorax_ct(3, (48, 56, 56), nodules=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("luna16") / "phantoms"
    return write_luna16_phantoms(path, 2, shape=(40, 48, 48), nodules="all", progress=False)


@pytest.fixture(scope="module")
def painted(folder):
    """A scan with two nodules painted by a network that paints 100 HU everywhere."""
    item = scans_to_paint(chest_scans(folder), 1, seed=5, nodules=2, diameters=(14.0, 24.0))[0]
    cut = CutNodulesd(WINDOW, SIZE, SPACING, MARGIN)(item)
    level = (100 - WINDOW[0]) / (WINDOW[1] - WINDOW[0]) * 2 - 1
    cut["pred"] = torch.full((2, 1, SIZE, SIZE, SIZE), level)
    return item, PasteNodulesd("pred", WINDOW, MARGIN)(cut)


def affine_of(phantom):
    """Voxel [z, y, x] to mm in RAS."""
    affine = np.zeros((4, 4))
    for axis, world in enumerate((2, 1, 0)):
        affine[world, axis] = phantom.spacing[world] * (1 if world == 2 else -1)
        affine[world, 3] = phantom.origin[world] * (1 if world == 2 else -1)
    affine[3, 3] = 1
    return affine


def test_lungs_are_found_by_hu(phantom):
    """Against the phantom's labels: most of the lungs, and of the rest vessels, edges and nodules alone."""
    found = lung_mask(phantom.hu, phantom.spacing[::-1])
    true = np.isin(phantom.labels, (Thorax.LUNG, Thorax.VESSEL))
    assert (found & true).sum() > 0.9 * true.sum()
    assert (found & true).sum() > 0.97 * found.sum()
    for other, share in ((Thorax.AIR, 0.0), (Thorax.TABLE_FOAM, 0.0), (Thorax.STOMACH_GAS, 0.05)):
        of = phantom.labels == other
        assert (found & of).sum() <= share * of.sum(), other


def test_places_are_in_the_lungs_apart_and_follow_from_the_seed(phantom):
    affine = affine_of(phantom)
    taken = [(*np.multiply(phantom.nodules[0].centre, (-1, -1, 1)), phantom.nodules[0].diameter)]

    def places(seed):
        rng = np.random.default_rng(seed)
        return places_in_lungs(phantom.hu, affine, [10.0, 24.0, 12.0], rng, gap=5.0, taken=taken)

    found = places(0)
    assert found == places(0) != places(1)
    assert [place[3] for place in found] == [10.0, 24.0, 12.0]
    lungs = np.isin(phantom.labels, (Thorax.LUNG, Thorax.VESSEL))
    for seed in range(3):
        all_there = [*places(seed), *taken]
        for number, (*centre, diameter) in enumerate(all_there[:-1]):
            index = np.indices(phantom.hu.shape).reshape(3, -1)
            points = affine[:3, :3] @ index + affine[:3, 3:]
            inside = np.linalg.norm(points - np.array(centre)[:, None], axis=0) <= diameter / 2
            assert lungs.ravel()[inside].mean() > 0.97
            for other in all_there[number + 1 :]:
                assert np.linalg.norm(np.subtract(centre, other[:3])) > (diameter + other[3]) / 2 + 5


def test_no_room_is_said(phantom):
    affine = affine_of(phantom)
    with pytest.raises(VolumeError, match=r"no room for a nodule of 150.0 mm, number 1 of 1, in \d\.\d\d litres"):
        places_in_lungs(phantom.hu, affine, [150.0], np.random.default_rng(0))
    with pytest.raises(VolumeError, match="denser than -500 HU"):
        places_in_lungs(np.full((8, 8, 8), -1000), affine, [5.0], np.random.default_rng(0))


def test_only_holes_change_and_they_have_what_was_painted(painted):
    item, made = painted
    before, after = made["before"].numpy()[0], made["pred"].numpy()[0]
    stored = read_volume(item["image"])[0]
    affine = made["before"].affine.numpy()
    index = np.indices(before.shape).reshape(3, -1)
    points = affine[:3, :3] @ index + affine[:3, 3:]
    inside = np.zeros(before.size, bool)
    for *centre, diameter in made["spheres"].tolist():
        inside |= np.linalg.norm(points - np.array(centre)[:, None], axis=0) <= diameter / 2 + MARGIN
    inside = inside.reshape(before.shape)
    assert 0 < inside.sum() < 0.1 * before.size
    assert np.array_equal(after[~inside], before[~inside])
    assert (after[inside] == 100).all()
    assert np.array_equal(np.sort(before.ravel()), np.sort(stored.ravel()))
    assert made["pred"].dtype == torch.int16


def test_crops_are_what_is_around_the_places(painted):
    _, made = painted
    assert made["image"].shape == (2, 4, SIZE, SIZE, SIZE)
    for crop, grid, sphere in zip(made["crop"], made["affines"], made["spheres"], strict=True):
        middle = grid.numpy() @ [*[(SIZE - 1) / 2] * 3, 1]
        assert middle[:3] == pytest.approx(sphere[:3].numpy(), abs=1e-3)
        assert -1 <= crop.min() < crop.max() <= 1
    holes = made["image"][:, 1].flatten(1).sum(1)
    for hole, sphere in zip(holes, made["spheres"], strict=True):
        volume = torch.pi / 6 * float(sphere[3] + 2 * MARGIN) ** 3
        assert float(hole) * SPACING**3 == pytest.approx(volume, rel=0.1)


def test_what_is_written_is_read_as_luna16_is(painted, folder, tmp_path):
    item, made = painted
    written = PaintedFolder(tmp_path)
    WritePaintedd("pred", written, Provenance("nodule_gan_luna16", "0.1.0", None))(made)
    table = written.finish()
    name = f"{item['id']}_seed00005"
    scan = nibabel.load(tmp_path / "subset0" / f"{name}.nii.gz")
    original = volume_header(item["image"])
    turned = Orientation(axcodes="RAS", labels=None)(made["before"])
    assert np.abs(np.linalg.det(scan.affine) - np.linalg.det(turned.affine.numpy())) < 1e-3
    assert sorted(scan.shape) == sorted(original.shape)
    assert nibabel.aff2axcodes(scan.affine) == ("R", "A", "S")
    assert "nodule_gan_luna16" in str(scan.header["descrip"])
    label = np.asarray(nibabel.load(tmp_path / "labels" / f"{name}.nii.gz").dataobj)
    assert set(np.unique(label)) == {0, 1}
    with table.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    with (tmp_path / "painted.csv").open(newline="") as file:
        assert len([*csv.DictReader(file)]) == 2
    assert len(rows) == 2 + len(item["known"])
    nodules = nodule_datalist(tmp_path, "validation")  # the only scan is for both
    found = sorted((*one["centre"], one["diameter"]) for one in nodules)
    wanted = sorted([*made["spheres"].tolist(), *map(list, item["known"])])
    assert found == [pytest.approx(one, abs=1e-3) for one in map(tuple, wanted)]
    for one in nodules:
        assert label[tuple(np.rint(np.linalg.inv(scan.affine) @ [*one["centre"], 1])[:3].astype(int))] == 1
    record = Provenance("nodule_gan_luna16", "0.1.0", None).record(0)  # of a second run, which adds to it
    again = PaintedFolder(tmp_path)
    again.add("other", np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), np.eye(4), record, painted=[(1.0, 2.0, 3.0, 4.0)])
    assert len(again.finish().read_text().splitlines()) == 2 + len(rows)


def test_places_that_are_given(folder, tmp_path):
    scans = chest_scans(folder)
    table = tmp_path / "places.csv"
    x, y, z, _ = scans[1]["known"][0]
    table.write_text(f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{scans[1]['id']},{-x},{-y},{z},12\n")
    (item,) = scans_to_paint(scans, places=table)
    assert item["id"] == scans[1]["id"]
    assert CutNodulesd(WINDOW, SIZE, SPACING, MARGIN)(item)["spheres"].tolist() == [[x, y, z, 12.0]]
    with pytest.raises(VolumeError, match="a nodule of 60 mm with a margin of 4 mm is larger than a crop of 64 mm"):
        CutNodulesd(WINDOW, SIZE, SPACING, MARGIN)(item | {"places": [(x, y, z, 60.0)]})
    table.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\nunknown,0,0,0,12\n")
    with pytest.raises(ValueError, match="names none of the 2 scans"):
        scans_to_paint(scans, places=table)
    with pytest.raises(ValueError, match="one nodule or more, got 1 and 0"):
        scans_to_paint(scans, 1, nodules=0)


def test_nodules_of_seeds_and_those_that_fit(folder):
    scans = chest_scans(folder)
    items = seeded_nodules(scans, 40, 3, (5.0, 20.0), "made")
    assert [item["name"] for item in items[:2]] == ["made_seed00003", "made_seed00004"]
    assert seeded_nodules(scans, 1, 10, (5.0, 20.0), "made")[0] == items[7]
    drawn = np.array([item["diameters"][0] for item in items])
    assert 5 <= drawn.min() < 7 < 15 < drawn.max() <= 20
    assert {item["id"] for item in items} == {scan["id"] for scan in scans}
    nodules = [{"id": "small", "diameter": 10.0}, {"id": "large", "diameter": 22.0}]
    with pytest.warns(UserWarning, match="large"):
        assert paintable(nodules, 32, 1.0, (2.0, 5.0)) == nodules[:1]
    with pytest.raises(VolumeError, match="none of 1 nodules fits"):
        paintable(nodules[1:], 32, 1.0, (2.0, 5.0))
    with pytest.raises(ValueError, match=r"diameters are \[20, 5\]"):
        seeded_nodules(scans, 1, 0, [20, 5])
