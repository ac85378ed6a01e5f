"""Chest phantoms: what they look like to the programs that read them, and whether they are chests."""

import csv
import json
import os
from functools import partial

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from tests.processes import forkserver
from tools.data.phantoms import luna16, thorax
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.phantoms.shapes import Grid, Segment, ellipsoid, grow_tree, tube
from tools.data.phantoms.thorax import THORAX_TISSUES, Thorax, thorax_ct, thorax_labels
from tools.phantom import phantom

SMALL = (32, 40, 40)
SEEDS = range(6)


@pytest.fixture(scope="module")
def chests():
    return [thorax_ct([11, seed], nodules=2 * (seed % 2)) for seed in SEEDS]


def centroid(mask):
    return np.array(ndimage.center_of_mass(mask))


def open_air(chest):
    """Air around the patient, away from everything and within the reconstructed circle."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in chest.labels.shape[1:])
    circle = np.hypot(y[:, None], x) < 0.49 * min(chest.labels.shape[1:])
    return ndimage.binary_erosion(chest.labels == Thorax.AIR, iterations=2, border_value=1) & circle


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# shapes


def test_ellipsoid_and_tube_have_their_volumes():
    grid = Grid.centred((60, 70, 80), (1.0, 1.0, 1.0), (3, -2, 5))
    _, mask = ellipsoid(grid, (5, 0, 4), (20, 15, 10))
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 20 * 15 * 10, rel=0.02)
    box, mask = tube(grid, Segment((-20, 0, 5), (20, 0, 5), (6, 6)))
    assert mask.sum() == pytest.approx(np.pi * 36 * 40 + 4 / 3 * np.pi * 216, rel=0.03)
    assert [s.stop - s.start for s in box] == [12, 12, 52]


def test_shapes_off_the_grid_are_empty():
    grid = Grid.centred((8, 8, 8), (1.0, 1.0, 1.0), (0, 0, 0))
    assert not tube(grid, Segment((50, 0, 0), (60, 0, 0), (3, 3)))[1].any()
    assert not ellipsoid(grid, (0, 0, 90), (3, 3, 3))[1].any()


def test_tree_tapers_and_stays_inside():
    segments = grow_tree(
        np.random.default_rng(0),
        (0, 0, 0),
        np.array([[50.0, 0, 0], [0, 50, 0]]),
        lambda p: np.linalg.norm(p, axis=1) < 60,
        generations=5,
    )
    assert len(segments) > 20
    assert all(np.linalg.norm(s.end) < 60 for s in segments)
    assert min(s.radii[1] for s in segments) < 0.5 * segments[0].radii[0]


# determinism and variety


def test_same_seed_same_phantom_and_other_seed_another(chests):
    again = thorax_ct([11, 0])
    np.testing.assert_array_equal(again.hu, chests[0].hu)
    np.testing.assert_array_equal(again.labels, chests[0].labels)
    masks = [c.labels == Thorax.LUNG for c in chests]
    overlaps = [2 * (a & b).sum() / (a.sum() + b.sum()) for i, a in enumerate(masks) for b in masks[:i]]
    assert max(overlaps) < 0.97  # not the same anatomy with other noise
    assert min(overlaps) > 0.5  # and still a chest
    assert len({c.spacing for c in chests}) == len(chests)


def test_nodules_change_nothing_but_themselves():
    plain, ill = (thorax_labels(5, nodules=n) for n in (0, 2))
    changed = plain != ill
    assert changed.any()
    assert set(np.unique(ill[changed])) == {Thorax.NODULE}
    assert set(np.unique(plain[changed])) <= {Thorax.LUNG, Thorax.VESSEL}


def test_resolution_does_not_change_the_patient():
    coarse, fine = (thorax_ct(3, shape) for shape in ((40, 48, 48), (80, 96, 96)))
    volumes = [np.prod(c.spacing) * np.isin(c.labels, (Thorax.LUNG, Thorax.VESSEL)).sum() / 1e6 for c in (coarse, fine)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.06)
    assert 2.5 < volumes[1] < 7.5  # litres, of an adult at full inspiration


def test_painting_by_slabs_leaves_no_seams(monkeypatch):
    whole = thorax_labels(9, (48, 64, 64))
    monkeypatch.setattr(thorax, "SLAB_VOXELS", 1)
    np.testing.assert_array_equal(thorax_labels(9, (48, 64, 64)), whole)


def test_spacing_is_taken():
    chest = thorax_ct(0, (20, 24, 28), spacing=(5.0, 4.0, 4.0))
    assert chest.hu.shape == (20, 24, 28)
    assert chest.spacing == (4.0, 4.0, 5.0)


# Hounsfield units


def test_hu_of_tissues(chests):
    for chest in chests:
        assert chest.hu.dtype == np.int16
        assert chest.labels.dtype == np.uint8
        inner = {
            label: chest.hu[ndimage.binary_erosion(chest.labels == label)]
            for label in (Thorax.LUNG, Thorax.MUSCLE, Thorax.FAT, Thorax.LIVER)
        }
        assert -920 < np.median(inner[Thorax.LUNG]) < -790
        assert 20 < np.median(inner[Thorax.MUSCLE]) < 80
        assert -130 < np.median(inner[Thorax.FAT]) < -70
        assert 30 < np.median(inner[Thorax.LIVER]) < 90
        assert 400 < np.percentile(chest.hu[chest.labels == Thorax.CORTEX], 80) < 1400
        air = chest.hu[open_air(chest)]
        assert air.min() >= -1024
        assert -1020 < np.median(air) < -980
        assert 5 < inner[Thorax.MUSCLE].std() < 45


def test_scanners_differ_in_air_and_padding():
    chests = [thorax_ct([2, seed], SMALL) for seed in range(24)]
    padding = {int(c.hu[0, 0, 0]) if (c.hu[:, 0, 0] == c.hu[0, 0, 0]).all() else None for c in chests}
    assert padding == {None, -1024, -2000, -3024}
    air = np.array([np.median(c.hu[open_air(c)]) for c in chests])
    assert (np.abs(air + 1000) < 3).any()
    assert (np.abs(air + 1000) > 5).any()
    assert (np.abs(air + 1000) < 20).all()


def test_contrast_enhances_blood():
    plain, enhanced = (thorax_ct(4, SMALL, contrast=c) for c in (False, True))
    blood = ndimage.binary_erosion(plain.labels == Thorax.BLOOD)
    np.testing.assert_array_equal(plain.labels, enhanced.labels)
    assert plain.hu[blood].mean() < 60
    assert enhanced.hu[blood].mean() > 100


def test_every_label_has_a_tissue_and_occurs(chests):
    assert set(THORAX_TISSUES) == set(Thorax)
    assert set(np.unique(np.stack([c.labels for c in chests]))) == set(Thorax)


# anatomy: arrays are [z to the head, y to the back, x to the patient's left]


def test_two_lungs_inside_the_body(chests):
    for chest in chests:
        body = ~np.isin(chest.labels, (Thorax.AIR, Thorax.TABLE, Thorax.TABLE_FOAM))
        lung = np.isin(chest.labels, (Thorax.LUNG, Thorax.VESSEL, Thorax.NODULE))
        outside = ~body
        outside[[0, -1]] = False  # the body is cut off above and below
        assert not (ndimage.binary_dilation(outside) & lung).any()
        parts, n = ndimage.label(ndimage.binary_erosion(lung))
        sizes = np.sort(ndimage.sum_labels(np.ones_like(parts), parts, np.arange(1, n + 1)))[::-1]
        assert sizes[:2].sum() > 0.97 * sizes.sum()
        assert sizes[1] > 0.5 * sizes[0]
        # lungs and body fill the image as in a chest CT
        assert 0.06 < lung.mean() < 0.2
        assert 0.35 < body.mean() < 0.65


def test_organs_are_where_they_belong(chests):
    for chest in chests:
        where = {label: centroid(chest.labels == label) for label in np.unique(chest.labels)}
        lung = where[Thorax.LUNG]
        heart = where[Thorax.MYOCARDIUM]
        assert heart[2] > lung[2]
        assert heart[1] < lung[1]
        assert where[Thorax.LIVER][2] < lung[2] < where[Thorax.SPLEEN][2]
        assert where[Thorax.LIVER][0] < heart[0] < where[Thorax.AIRWAY][0]
        assert where[Thorax.SPINAL_CANAL][1] > lung[1] + 10
        assert where[Thorax.TABLE][1] > where[Thorax.SPINAL_CANAL][1]
        # the right dome of the diaphragm is the higher one, seen behind the heart
        lungs = np.isin(chest.labels, (Thorax.LUNG, Thorax.VESSEL, Thorax.NODULE))
        row = int(lung[1] + 25 / chest.spacing[1])
        middle, aside = where[Thorax.SPINAL_CANAL][2], 66 / chest.spacing[0]
        right, left = (lungs[:, row, int(middle + side * aside)].argmax() for side in (-1, 1))
        assert right > left


def test_trachea_is_one_airway_that_reaches_both_lungs(chests):
    for chest in chests:
        airway, n = ndimage.label(chest.labels == Thorax.AIRWAY, np.ones((3, 3, 3)))
        sizes = np.bincount(airway.ravel())[1:]
        assert sizes.max() > 0.9 * sizes.sum(), n
        main = airway == sizes.argmax() + 1
        assert main[-1].any()  # it leaves through the top
        near = ndimage.binary_dilation(main, iterations=2) & (chest.labels == Thorax.LUNG)
        middle = int(centroid(main[-10:])[2])
        assert near[:, :, :middle].any()
        assert near[:, :, middle + 1 :].any()


def test_vessels_are_in_the_lungs_and_connected(chests):
    for chest in chests:
        vessel = chest.labels == Thorax.VESSEL
        lung = chest.labels == Thorax.LUNG
        assert 0.01 < vessel.sum() / lung.sum() < 0.12
        bright = chest.hu[vessel].mean() - chest.hu[lung].mean()
        assert bright > 300


# nodules


def test_nodules_are_as_recorded():
    found = 0
    for seed in range(4):
        chest = thorax_ct([7, seed], nodules=3)
        parts, n = ndimage.label(chest.labels == Thorax.NODULE)
        assert n == len(chest.nodules) == 3
        centres = np.array(ndimage.center_of_mass(parts > 0, parts, np.arange(1, n + 1)))[:, ::-1]
        centres = centres * chest.spacing + chest.origin
        volumes = np.bincount(parts.ravel())[1:] * np.prod(chest.spacing)
        for nodule in chest.nodules:
            distances = np.linalg.norm(centres - nodule.centre, axis=1)
            nearest = distances.argmin()
            assert distances[nearest] < 0.6 * max(chest.spacing)
            assert 4 <= nodule.diameter <= 30
            measured = (6 * volumes[nearest] / np.pi) ** (1 / 3)
            assert measured == pytest.approx(nodule.diameter, rel=0.2 if nodule.diameter < 12 else 0.07)
            index = np.rint((np.array(nodule.centre) - chest.origin) / chest.spacing).astype(int)
            inside = chest.hu[index[2], index[1], index[0]]
            assert inside > -300
            found += 1
    assert found == 12


def test_no_room_for_a_nodule_is_an_error():
    with pytest.raises(ValueError, match="no room for a nodule"):
        thorax_labels(0, (16, 16, 16), nodules=1)
    with pytest.raises(ValueError, match="negative"):
        thorax_labels(0, SMALL, nodules=-1)
    with pytest.raises(ValueError, match="three positive numbers"):
        thorax_labels(0, (16, 16))


# on disk


def test_layout_is_that_of_luna16(tmp_path):
    folder = write_luna16_phantoms(
        tmp_path / "deep" / "phantoms", 20, seed=3, shape=(48, 64, 64), nodules="half", progress=False
    )
    files = sorted(folder.glob("subset*/*.mhd"))
    assert len(files) == 20
    assert len(list(folder.glob("subset9/*.mhd"))) == 4
    record = json.loads((folder / "phantom.json").read_text())
    assert (record["anatomy"], record["count"], record["seed"]) == ("thorax", 20, 3)
    with (folder / "labels.csv").open() as file:
        classes = {row["id"]: int(row["label"]) for row in csv.DictReader(file)}
    with (folder / "annotations.csv").open() as file:
        annotated = [row["seriesuid"] for row in csv.DictReader(file)]
    assert set(annotated) == {name for name, label in classes.items() if label}
    assert sum(classes.values()) == 10
    for volume in record["volumes"]:
        path = folder / f"subset{volume['subset']}" / f"{volume['id']}.mhd"
        assert path.with_suffix(".zraw").is_file()
        image = sitk.ReadImage(str(path))
        assert image.GetPixelID() == sitk.sitkInt16
        assert image.GetSize() == (64, 64, 48)
        assert image.GetSpacing() == pytest.approx(volume["spacing"])
        assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        assert classes[volume["id"]] == volume["label"] == bool(volume["nodules"])
        for nodule in volume["nodules"]:
            index = image.TransformPhysicalPointToIndex(nodule["centre_mm"])
            assert image[index] > -400
    # both classes are held out
    assert {v["label"] for v in record["volumes"] if v["subset"] == 9} == {0, 1}


def test_written_volume_is_the_phantom(tmp_path):
    folder = write_luna16_phantoms(tmp_path / "p", 2, seed=1, shape=SMALL, progress=False)
    expected = thorax_ct([1, 0], SMALL)
    image = sitk.ReadImage(str(folder / "subset0" / "phantom-0001-0000.mhd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected.hu)
    assert image.GetOrigin() == pytest.approx(expected.origin)


def test_volume_does_not_depend_on_how_many_there_are(tmp_path):
    few, many = (write_luna16_phantoms(tmp_path / str(n), n, shape=SMALL, progress=False) for n in (2, 4))
    name = "subset0/phantom-0000-0000.zraw"
    assert (few / name).read_bytes() == (many / name).read_bytes()


def test_same_settings_same_bytes_and_reuse(tmp_path, monkeypatch):
    write = partial(write_luna16_phantoms, count=3, shape=SMALL, nodules="all", progress=False)
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert tree(first) == tree(second)
    monkeypatch.setattr(luna16, "_write", lambda *_: pytest.fail("written again"))
    assert write(tmp_path / "a") == first


def test_other_settings_are_an_error(tmp_path):
    folder = write_luna16_phantoms(tmp_path / "p", 2, shape=SMALL, progress=False)
    with pytest.raises(FileExistsError, match=r"seed is 0 there, 1 is asked for.*[Cc]hoose another folder"):
        write_luna16_phantoms(folder, 2, seed=1, shape=SMALL, progress=False)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="no folder of phantoms"):
        write_luna16_phantoms(other, 2, shape=SMALL, progress=False)
    assert (other / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 1}, "count"),
        ({"seed": -1}, "seed"),
        ({"shape": (8, 40, 40)}, "shape"),
        ({"nodules": "some"}, "none, half, all"),
    ],
)
def test_bad_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_luna16_phantoms(tmp_path / "p", **{"count": 2, "shape": SMALL, "progress": False, **arguments})
    assert not list(tmp_path.iterdir())


def test_loser_of_a_race_takes_the_winner(tmp_path, monkeypatch):
    write_files = luna16._write

    def late(folder, settings, progress):
        volumes = write_files(folder, settings, progress)
        monkeypatch.setattr(luna16, "_write", write_files)
        write_luna16_phantoms(tmp_path / "p", 2, shape=SMALL, progress=False)
        return volumes

    monkeypatch.setattr(luna16, "_write", late)
    folder = write_luna16_phantoms(tmp_path / "p", 2, shape=SMALL, progress=False)
    assert len(list(folder.glob("subset*/*.mhd"))) == 2
    assert list(tmp_path.iterdir()) == [folder]  # nothing unfinished is left


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(luna16.sitk, "WriteImage", fail)
    with pytest.raises(OSError, match="disk full"):
        write_luna16_phantoms(tmp_path / "p", 2, shape=SMALL, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_itk_cannot_name_is_refused(tmp_path):
    """It would end the process."""
    with pytest.raises(ValueError, match="Müller is no UTF-8"):
        write_luna16_phantoms(tmp_path / os.fsdecode("Müller".encode("latin-1")), 2, shape=SMALL, progress=False)


def test_processes_may_write_at_once(tmp_path):
    write = partial(write_luna16_phantoms, count=3, shape=SMALL, progress=False)
    with forkserver().Pool(2) as pool:
        folders = pool.map(write, [tmp_path / "p"] * 2, chunksize=1)
    assert folders == [tmp_path / "p"] * 2
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]
    assert tree(folders[0]) == tree(write(tmp_path / "q"))


# the command


def test_command_writes_and_previews(tmp_path, capsys):
    phantom(str(tmp_path / "p"), count=2, nodules="half", image_size=32)
    out = capsys.readouterr().out
    assert str(tmp_path / "p") in out
    assert "1 to train on, 1 (subset9) to validate; 1 with lung nodules" in out
    assert (tmp_path / "p" / "preview.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="thorax"):
        phantom(str(tmp_path / "q"), anatomy="foot")
