"""Brains with tumours: whether a tumour is built and looks as gliomas do, and how it lies on disk."""

import csv
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tools.data.phantoms.brain import Brain
from tools.data.phantoms.brain_tumour import CONTRASTS, TUMOUR_TISSUES, Tumour, brain_mask, tumour_images, tumour_mr
from tools.data.phantoms.brats import brats_affine, subject, write_brats_phantoms
from tools.data.phantoms.masses import pushed
from tools.data.phantoms.shapes import Grid
from tools.datasets.splitting import is_held_out
from tools.phantom import phantom

SMALL = (52, 80, 80)


@pytest.fixture(scope="module")
def brains():
    """Two of high grade, one of low."""
    return [tumour_mr([5, seed], SMALL, high_grade=seed < 2) for seed in range(3)]


def median(brain, contrast, label):
    mask = brain.labels == label
    inner = ndimage.binary_erosion(mask)
    return float(np.median(brain.images[contrast][inner if inner.sum() > 20 else mask]))


def millilitres(brain, *values):
    return np.isin(brain.annotation, values).sum() * np.prod(brain.spacing) / 1000


# the tumour


def test_annotation_is_the_labels_in_the_codes_of_brats(brains):
    for brain in brains:
        for label, value in ((Tumour.CORE, 1), (Tumour.OEDEMA, 2), (Tumour.RIM, 4)):
            np.testing.assert_array_equal(brain.annotation == value, brain.labels == label)
        assert set(np.unique(brain.annotation)) <= {0, 1, 2, 4}


def test_rim_parts_the_core_from_the_oedema_everywhere(brains):
    for brain in brains[:2]:
        core = brain.annotation == 1
        around = ndimage.binary_dilation(core, ndimage.generate_binary_structure(3, 1)) & ~core
        assert core.sum() > 50
        assert set(np.unique(brain.annotation[around])) == {4}
        outside = ndimage.binary_dilation(np.isin(brain.annotation, (1, 4))) & (brain.annotation == 2)
        assert outside.sum() > 100


def test_low_grade_has_no_rim(brains):
    assert not (brains[2].annotation == 4).any()
    assert millilitres(brains[2], 1) > 5


def test_volumes_are_those_of_gliomas(brains):
    for brain in brains:
        assert 5 < millilitres(brain, 1, 4) < 90
        assert 15 < millilitres(brain, 1, 2, 4) < 260
        assert 13 <= brain.glioma.radius <= 26


def test_tumour_is_one_piece_in_one_hemisphere_of_the_cerebrum(brains):
    for brain in brains:
        parts, count = ndimage.label(np.isin(brain.annotation, (1, 4)))
        assert count == 1
        _, _, columns = np.nonzero(parts)
        middle = brain.annotation.shape[2] / 2
        side = np.sign(brain.glioma.centre[0])
        assert (np.sign(columns + 0.5 - middle) == side).mean() > 0.97
        assert not np.isin(brain.labels[brain.annotation > 0], (Brain.SKULL, Brain.AIR)).any()


def test_rim_enhances_and_nothing_else_of_the_tumour(brains):
    for brain in brains[:2]:
        ratio = {
            label: (median(brain, "t1ce", label) / median(brain, "t1ce", Brain.WHITE))
            / (median(brain, "t1", label) / median(brain, "t1", Brain.WHITE))
            for label in (Tumour.RIM, Tumour.CORE, Tumour.OEDEMA, Brain.GREY)
        }
        assert ratio[Tumour.RIM] > 1.5
        assert max(ratio[label] for label in (Tumour.CORE, Tumour.OEDEMA, Brain.GREY)) < 1.25
        for contrast in ("t1", "t2", "flair"):  # where it does not stand out from the oedema around it
            assert median(brain, contrast, Tumour.RIM) < 1.2 * median(brain, contrast, Tumour.OEDEMA)


def formula(contrast, label):
    """Signal of a tissue by the textbook's equations, in seconds and mmol/l, apart from the code."""
    tissue, (sequence, enhanced) = TUMOUR_TISSUES[label], CONTRASTS[contrast]
    agent = tissue.agent if enhanced else 0
    t1, t2 = 1 / (1000 / tissue.t1 + 5.0 * agent), 1 / (1000 / tissue.t2 + 7.1 * agent)
    longitudinal = 1 - np.exp(-sequence.repetition / 1000 / t1)
    if contrast == "flair":
        longitudinal += 2 * np.exp(-sequence.repetition / 1000 / t1) - 2 * np.exp(-sequence.inversion / 1000 / t1)
    return tissue.density * abs(longitudinal) * np.exp(-sequence.echo / 1000 / t2)


def test_labels_have_the_intensities_of_the_equations():
    kinds = np.array([Brain.WHITE, Brain.GREY, Tumour.OEDEMA, Tumour.CORE, Tumour.RIM, Tumour.VESSEL])
    blocks = kinds[np.random.default_rng(0).permutation(216).reshape(6, 6, 6) % len(kinds)].astype(np.uint8)
    labels = np.kron(blocks, np.ones((6, 6, 6), np.uint8))  # spread out, so that the coils' sensitivity is the same
    inner = np.kron(np.ones((6, 6, 6), int), np.pad(np.ones((2, 2, 2), int), 2)) > 0
    grid = Grid.centred(labels.shape, (3, 3, 3), (0, 0, 0))
    patient = {label: replace(tissue, spread=0.0) for label, tissue in TUMOUR_TISSUES.items()}
    images = tumour_images(labels, grid, np.ones(labels.shape, bool), patient, np.random.default_rng(1))
    for contrast, image in images.items():
        white = image[inner & (labels == Brain.WHITE)].mean() / formula(contrast, Brain.WHITE)
        for label in kinds:
            found = image[inner & (labels == label)].mean() / white
            assert found == pytest.approx(formula(contrast, label), rel=0.07, abs=0.008), (contrast, label)  # noise


def test_contrasts_are_those_a_radiologist_knows(brains):
    for brain in brains[:2]:
        t1, t2, flair = (
            {label: median(brain, c, label) for label in (Brain.WHITE, Brain.VENTRICLE, Tumour.OEDEMA)}
            for c in ("t1", "t2", "flair")
        )
        assert t1[Brain.VENTRICLE] < t1[Tumour.OEDEMA] < t1[Brain.WHITE]
        assert t2[Brain.WHITE] < t2[Tumour.OEDEMA] < t2[Brain.VENTRICLE]
        assert flair[Brain.VENTRICLE] < flair[Brain.WHITE] < flair[Tumour.OEDEMA]


def test_images_are_stripped_of_the_skull_and_aligned(brains):
    for brain in brains:
        masks = [image > 0 for image in brain.images.values()]
        for mask in masks[1:]:
            np.testing.assert_array_equal(mask, masks[0])
        assert 0.9 < masks[0].sum() * np.prod(brain.spacing) / 1e6 < 1.9  # litres
        outside = (Brain.SKIN, Brain.FAT, Brain.SKULL, Brain.MARROW, Brain.EYE)
        assert not np.isin(brain.labels[masks[0]], outside).any()
        assert masks[0][brain.annotation > 0].all()


def test_a_mass_pushes_its_surroundings_away_and_leaves_the_skull():
    grid = Grid.centred((1, 41, 41), (1.0, 1.0, 1.0), (0, 0, 0))
    x, y = np.broadcast_to(grid.x[0], (41, 41)), np.broadcast_to(grid.y[0], (41, 41))
    r = np.hypot(x, y)
    labels = np.where(r > 18, Brain.SKULL, np.where(r > 8, Brain.GREY, Brain.WHITE)).astype(np.uint8)[None]
    amount = np.where(r < 18, 3.0, 0.0)[None]
    moved = pushed(labels, grid, (0, 0, 0), amount, labels != Brain.SKULL)
    np.testing.assert_array_equal(moved == Brain.SKULL, labels == Brain.SKULL)
    expected = r <= 11  # what was within 8 mm is now within 11
    inside = r < 18
    assert ((moved[0] == Brain.WHITE) != expected)[inside].mean() < 0.04


def test_same_seed_same_phantom_and_other_seed_another(brains):
    again = tumour_mr([5, 0], SMALL)
    np.testing.assert_array_equal(again.labels, brains[0].labels)
    for name, image in again.images.items():
        np.testing.assert_array_equal(image, brains[0].images[name])
    assert len({brain.glioma for brain in brains}) == 3
    assert (again.annotation != brains[1].annotation).any()


def test_brain_mask_closes_sulci():
    grid = Grid.centred((20, 40, 40), (2.0, 2.0, 2.0), (0, 0, 0))
    labels = np.full((20, 40, 40), Brain.CSF, np.uint8)
    labels[4:16, 8:32, 8:32] = Brain.GREY
    labels[4:16, 8:32, 19:21] = Brain.CSF  # a sulcus, 4 mm wide
    mask = brain_mask(labels, grid)
    assert mask[6:14, 12:28, 19:21].all()
    assert not mask[:, :5].any()


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match="voxels of 6 mm or less"):
        tumour_mr(0, (20, 24, 24))
    with pytest.raises(ValueError, match="three positive numbers"):
        tumour_mr(0, (52, 80))


# on disk


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms") / "deep" / "brats"
    return write_brats_phantoms(root, 3, seed=5, shape=(39, 60, 60), progress=False)


def test_affine_is_that_of_brats():
    np.testing.assert_allclose(
        brats_affine((155, 240, 240)), [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
    coarse, fine = brats_affine((31, 60, 48)), brats_affine((155, 240, 240))
    for corner in ((-0.5, -0.5, -0.5, 1), (0.5, 0.5, 0.5, 1)):
        outer = np.array(corner) * (2, 2, 2, 1)
        for affine, shape in ((coarse, (48, 60, 31)), (fine, (240, 240, 155))):
            index = np.where(outer[:3] < 0, -0.5, np.array(shape) - 0.5)
            edge = (affine @ [*index, 1])[:3]
            assert edge == pytest.approx((0.5, 239.5, -0.5) if outer[0] < 0 else (-239.5, -0.5, 154.5))


def test_layout_is_that_of_2020(folder):
    record = json.loads((folder / "phantom.json").read_text())
    names = [volume["id"] for volume in record["volumes"]]
    assert sum(is_held_out(name, one_in=10) for name in names) == 1
    assert [v["section"] for v in record["volumes"]].count("validation") == 1
    for name in names:
        assert name == subject(int(name[-3:]), 2020)
        found = {p.name for p in (folder / name).iterdir()}
        assert found == {f"{name}_{kind}.nii.gz" for kind in ("t1", "t1ce", "t2", "flair", "seg")}
        images = [nib.load(folder / name / f) for f in sorted(found)]
        for image in images:
            assert image.shape == (60, 60, 39)
            assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
            np.testing.assert_allclose(image.affine, images[0].affine)
        assert images[1].get_data_dtype() == np.uint8  # seg
        assert images[0].get_data_dtype() == np.int16
    with (folder / "name_mapping.csv").open() as file:
        rows = {row["BraTS_2020_subject_ID"]: row["Grade"] for row in csv.DictReader(file)}
    with (folder / "labels.csv").open() as file:
        classes = {row["id"]: row["label"] for row in csv.DictReader(file)}
    assert rows == {name: "HGG" if classes[name] == "1" else "LGG" for name in names}
    for volume in record["volumes"]:
        seg = np.asarray(nib.load(folder / volume["annotation"]).dataobj)
        voxel = np.prod(volume["spacing"]) / 1000
        assert (seg == 2).sum() * voxel == pytest.approx(volume["millilitres"]["oedema"], abs=0.01)
        assert ((seg == 4).any()) == (volume["label"] == 1)


def test_later_names_hold_the_same_with_3_for_4(folder, tmp_path):
    later = write_brats_phantoms(tmp_path / "p", 3, seed=5, shape=(39, 60, 60), names=2023, progress=False)
    name = "BraTS-GLI-00001-000"
    kinds = ("t1n", "t1c", "t2w", "t2f", "seg")
    assert {p.name for p in (later / name).iterdir()} == {f"{name}-{kind}.nii.gz" for kind in kinds}
    old = "BraTS20_Training_001"
    files = (later / name / f"{name}-seg.nii.gz", folder / old / f"{old}_seg.nii.gz")
    seg, before = (np.asarray(nib.load(path).dataobj) for path in files)
    np.testing.assert_array_equal(seg, np.where(before == 4, 3, before))
    assert set(np.unique(seg)) == {0, 1, 2, 3}
    for a, b in (("t1c", "t1ce"), ("t2f", "flair")):
        pair = [nib.load(p).dataobj for p in (later / name / f"{name}-{a}.nii.gz", folder / old / f"{old}_{b}.nii.gz")]
        np.testing.assert_array_equal(*pair)


def test_command_writes_and_shows_outlines(tmp_path, capsys):
    phantom(str(tmp_path / "p"), dataset="brats", count=2, image_size=[39, 60, 60])
    assert "2 brains with a tumour of 39 x 60 x 60 voxels" in capsys.readouterr().out
    assert (tmp_path / "p" / "preview.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="lesions is 'half', but brats has none"):
        phantom(str(tmp_path / "q"), dataset="brats", lesions="half")
    with pytest.raises(ValueError, match="dataset must be one of luna16"):
        phantom(str(tmp_path / "q"), dataset="brats2020")
    with pytest.raises(ValueError, match="brats shows a brain, not a thorax"):
        phantom(str(tmp_path / "q"), dataset="brats", anatomy="thorax")
    with pytest.raises(ValueError, match="names must be one of 2020, 2023"):
        write_brats_phantoms(tmp_path / "q", 2, names=2021)
