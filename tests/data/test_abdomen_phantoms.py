"""Abdomen phantoms: whether they are abdomens, whether MR and CT look as they do, and whether these are of one body."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tools.data.phantoms import abdomen
from tools.data.phantoms.abdomen import abdomen_ct, abdomen_labels, abdomen_t1, abdomen_t2, abdomen_true_ct, patient_hu
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tissues import ABDOMEN_CT, ABDOMEN_MR, Abdomen, tissue_class
from tools.data.phantoms.mr import (
    LIPID,
    FastSpinEcho,
    MRScanner,
    SpoiledGradientEcho,
    WaterFat,
    fat_phase,
    water_fat_images,
)
from tools.data.phantoms.shapes import Grid

SHAPE = (20, 64, 64)
CT_SHAPE = (50, 88, 88)
QUIET = MRScanner(gain=4000, noise=0, bias=0, blur=0.01)
MUSCLE_LIKE = WaterFat(0.8, 0.0, 900, 45, 30)
FAT_LIKE = WaterFat(0.0, 0.8, 900, 45, 30)


@pytest.fixture(scope="module")
def bodies():
    return [AbdomenBody.draw([11, seed]) for seed in range(4)]


@pytest.fixture(scope="module")
def scans(bodies):
    return [abdomen_ct(body, CT_SHAPE) for body in bodies]


def litres(scan, *labels):
    return np.prod(scan.spacing) * np.isin(scan.labels, labels).sum() / 1e6


def inner(scan, *labels, iterations=1):
    return ndimage.binary_erosion(np.isin(scan.labels, labels), iterations=iterations)


def centroid(scan, *labels):
    """(x, y, z) in mm."""
    return np.array(ndimage.center_of_mass(np.isin(scan.labels, labels)))[::-1] * scan.spacing


# the signal


def test_gradient_echo_equals_pulses_played_one_by_one():
    sequence, t1, t2_star = SpoiledGradientEcho(repetition=140, flip=75), 640.0, 28.0
    m = 1.0
    for _ in range(60):
        transverse, m = m * np.sin(np.deg2rad(75)), m * np.cos(np.deg2rad(75))
        for _ in range(1400):  # 0.1 ms at a time
            m += (1 - m) * 0.1 / t1
    assert sequence.signal(t1, t2_star, 4.6) == pytest.approx(transverse * np.exp(-4.6 / 28), rel=1e-3)


def test_spin_echo_recovers_and_decays():
    m, transverse = 0.0, 1.0
    for _ in range(18000):
        m += (1 - m) * 0.1 / 1050
    for _ in range(700):
        transverse -= transverse * 0.1 / 80
    assert FastSpinEcho(1800, 70).signal(1050, 80) == pytest.approx(m * transverse, rel=1e-3)
    # what is left of the fat
    assert FastSpinEcho(fat=0.1).signals(LIPID)[0][1] == pytest.approx(0.1 * FastSpinEcho(fat=1).signals(LIPID)[0][1])


def test_fat_turns_against_water_and_back():
    assert fat_phase(0) == 1
    assert abs(fat_phase(2.3) + 1) < 0.02
    assert abs(fat_phase(4.6) - 1) < 0.03


def test_in_phase_is_the_sum_and_out_of_phase_the_difference():
    labels = np.ones((2, 12, 12), np.uint8)
    sequence = SpoiledGradientEcho()
    for fraction in (0.0, 0.2, 0.5, 0.8):
        tissue = WaterFat(1 - fraction, fraction, 600, 45, 30)
        images = water_fat_images(labels, {1: tissue}, sequence, QUIET, np.random.default_rng(0), (5, 2, 2))
        water = [(1 - fraction) * sequence.signal(600, 30, echo) for echo in (4.6, 2.3)]
        fat = [fraction * sequence.signal(343, 25, echo) for echo in (4.6, 2.3)]
        expected = 4000 * (water[0] + fat[0]), 4000 * abs(water[1] - fat[1])
        assert [i.mean() for i in images] == pytest.approx(expected, abs=6)


def test_borders_of_fat_are_black_out_of_phase():
    labels = np.ones((2, 8, 40), np.uint8)
    labels[:, :, 20:] = 2
    scanner = replace(QUIET, blur=0.6)
    tissues = {1: MUSCLE_LIKE, 2: FAT_LIKE}
    inside, outside = water_fat_images(
        labels, tissues, SpoiledGradientEcho(), scanner, np.random.default_rng(0), (5, 2, 2)
    )
    line = outside[0, 4].astype(int)
    assert line[18:22].min() < 0.5 * min(line[5], line[35])
    assert inside[0, 4, 18:22].min() > 0.95 * min(inside[0, 4, 5], inside[0, 4, 35])


def test_thick_slices_add_signals_before_the_magnitude():
    labels = np.array([1, 1, 2, 2], np.uint8)[:, None, None] * np.ones((1, 10, 10), np.uint8)
    sequence = SpoiledGradientEcho(echoes=(2.3,))
    scale = sequence.signal(900, 30, 2.3) / sequence.signal(343, 25, 2.3)
    tissues = {1: MUSCLE_LIKE, 2: replace(FAT_LIKE, fat=0.8 * scale)}
    (thick,) = water_fat_images(labels, tissues, sequence, QUIET, np.random.default_rng(0), (2, 2, 2), sections=4)
    (thin,) = water_fat_images(labels, tissues, sequence, QUIET, np.random.default_rng(0), (2, 2, 2))
    assert thick.shape == (1, 10, 10)
    assert thick.max() < 0.02 * thin.min()


def test_stored_values_have_an_upper_limit():
    bright = replace(QUIET, gain=1e6)
    (image,) = water_fat_images(
        np.ones((1, 4, 4), np.uint8), {1: MUSCLE_LIKE}, FastSpinEcho(), bright, np.random.default_rng(0), (5, 2, 2)
    )
    assert (image == 4095).all()


# determinism and variety


def test_same_seed_same_phantom_and_other_seed_another(bodies, scans):
    again = AbdomenBody.draw([11, 0])
    scan = abdomen_ct(again, CT_SHAPE)
    np.testing.assert_array_equal(scan.image, scans[0].image)
    for first, second in zip(abdomen_t1(again, SHAPE), abdomen_t1(bodies[0], SHAPE), strict=True):
        np.testing.assert_array_equal(first.image, second.image)
    livers = [s.labels == Abdomen.LIVER for s in scans]
    overlaps = [2 * (a & b).sum() / (a.sum() + b.sum()) for i, a in enumerate(livers) for b in livers[:i]]
    assert max(overlaps) < 0.95
    assert min(overlaps) > 0.35


def test_painting_by_slabs_leaves_no_seams(bodies, monkeypatch):
    grid = Grid.centred((14, 48, 48), (16.0, 9.0, 9.0), (0, 0, 0))
    whole = abdomen_labels(bodies[0], grid)
    monkeypatch.setattr(abdomen, "SLAB_VOXELS", 1)
    np.testing.assert_array_equal(abdomen_labels(bodies[0], grid), whole)


def test_resolution_does_not_change_the_patient(bodies):
    coarse, fine = (abdomen_ct(bodies[1], shape) for shape in ((30, 64, 64), (60, 128, 128)))
    for labels in ((Abdomen.LIVER,), (Abdomen.SPLEEN,), (Abdomen.RENAL_CORTEX, Abdomen.RENAL_MEDULLA)):
        assert litres(coarse, *labels) == pytest.approx(litres(fine, *labels), rel=0.08)


def test_bad_shape_is_an_error(bodies):
    with pytest.raises(ValueError, match="three positive numbers"):
        abdomen_t2(bodies[0], (20, 40))


# anatomy: arrays are [z to the head, y to the back, x to the patient's left]


def test_every_label_has_tissues_and_occurs(scans):
    assert set(ABDOMEN_CT) == set(Abdomen)
    assert set(ABDOMEN_MR) == set(Abdomen) - {Abdomen.TABLE, Abdomen.TABLE_FOAM}
    assert set(np.unique(np.stack([s.labels for s in scans]))) == set(Abdomen)
    assert {tissue_class(label) for label in Abdomen} == {"air", "lung", "fat", "soft", "bone"}


def test_organs_have_the_volumes_of_adults(scans):
    for scan in scans:
        assert 0.9 < litres(scan, Abdomen.LIVER, Abdomen.PORTAL_VEIN) < 2.6
        assert 0.07 < litres(scan, Abdomen.SPLEEN) < 0.5
        assert 0.17 < litres(scan, Abdomen.RENAL_CORTEX, Abdomen.RENAL_MEDULLA) < 0.5
        assert 0.02 < litres(scan, Abdomen.PANCREAS) < 0.15


def test_organs_are_where_they_belong(scans):
    for scan in scans:
        where = {label: centroid(scan, label) for label in Abdomen}
        spine = where[Abdomen.SPINAL_CANAL]
        assert where[Abdomen.LIVER][0] < spine[0] - 20
        assert where[Abdomen.SPLEEN][0] > spine[0] + 50
        assert where[Abdomen.STOMACH][0] > spine[0] + 15
        assert where[Abdomen.ARTERY][1] < spine[1]
        assert where[Abdomen.LUNG][2] > where[Abdomen.LIVER][2] > where[Abdomen.RENAL_CORTEX][2]
        assert where[Abdomen.RENAL_CORTEX][2] > where[Abdomen.BOWEL][2]
        assert where[Abdomen.GAS][1] < spine[1] - 60  # it rises to the front
        assert where[Abdomen.TABLE][1] > spine[1] + 40
        assert (scan.labels[0] != Abdomen.LUNG).all()
        assert (scan.labels[-1] == Abdomen.LUNG).any()


def test_two_kidneys_beside_the_spine(scans):
    for scan in scans:
        kidney = np.isin(scan.labels, (Abdomen.RENAL_CORTEX, Abdomen.RENAL_MEDULLA, Abdomen.RENAL_PELVIS))
        parts, n = ndimage.label(kidney)
        sizes = np.bincount(parts.ravel())[1:]
        large = np.flatnonzero(sizes > 0.2 * sizes.sum()) + 1
        assert len(large) == 2, n
        middle = centroid(scan, Abdomen.SPINAL_CANAL)[0] / scan.spacing[0]
        sides = sorted(ndimage.center_of_mass(parts == i)[2] for i in large)
        assert sides[0] < middle < sides[1]


def test_body_is_closed(scans):
    for scan in scans:
        outside = np.isin(scan.labels, (Abdomen.AIR, Abdomen.TABLE, Abdomen.TABLE_FOAM))
        touched = ndimage.binary_dilation(outside, np.ones((1, 3, 3))) & ~outside
        found = set(np.unique(scan.labels[touched]))
        assert found <= {Abdomen.SKIN, Abdomen.SUBCUTANEOUS_FAT}
        assert 0.3 < 1 - outside.mean() < 0.7


# CT


def test_hu_of_tissues(bodies, scans):
    for body, scan in zip(bodies, scans, strict=True):
        expected = patient_hu(body, contrast=True)
        for label in (Abdomen.LIVER, Abdomen.MUSCLE, Abdomen.SUBCUTANEOUS_FAT, Abdomen.SPLEEN, Abdomen.LUNG):
            assert np.median(scan.image[inner(scan, label)]) == pytest.approx(expected[label].mean, abs=14)
        assert np.percentile(scan.image[scan.labels == Abdomen.CORTEX], 80) > 350


def test_contrast_enhances_what_takes_it_up(bodies):
    plain, enhanced = (abdomen_ct(bodies[0], CT_SHAPE, contrast) for contrast in (False, True))
    np.testing.assert_array_equal(plain.labels, enhanced.labels)
    gain = {label: (enhanced.image - plain.image)[plain.labels == label].mean() for label in Abdomen}
    assert gain[Abdomen.ARTERY] > 60
    assert gain[Abdomen.RENAL_CORTEX] > 80
    assert 20 < gain[Abdomen.LIVER] < 80
    for label in (Abdomen.SUBCUTANEOUS_FAT, Abdomen.SPINAL_CANAL, Abdomen.STOOL):
        assert abs(gain[label]) < 12


def test_fat_in_the_liver_darkens_ct_and_is_lost_out_of_phase(bodies):
    lean, fatty = (replace(bodies[0], liver_fat=fat) for fat in (0.0, 0.25))
    hu = [patient_hu(body, contrast=False)[Abdomen.LIVER].mean for body in (lean, fatty)]
    assert hu[1] == pytest.approx(0.75 * hu[0] - 0.25 * 104)
    lost = []
    for body in (lean, fatty):
        inside, outside = (v.image[inner(v, Abdomen.LIVER)].mean() for v in abdomen_t1(body, SHAPE))
        lost.append(1 - outside / inside)
    assert lost[0] < 0.02  # water decays a little until the second echo, which is the in-phase one
    assert lost[1] > 0.3


# MR


def test_t1_shows_the_tissues(bodies):
    for body in bodies:
        in_phase, out_phase = abdomen_t1(body, SHAPE)
        for volume in (in_phase, out_phase):
            assert volume.image.dtype == np.int16
            assert volume.image.shape == SHAPE
            assert 0 <= volume.image.min() <= volume.image.max() <= 4095
        assert in_phase[2:] == out_phase[2:]
        labels = (Abdomen.SUBCUTANEOUS_FAT, Abdomen.LIVER, Abdomen.SPLEEN, Abdomen.LUNG, Abdomen.AIR)
        median = {label: np.median(in_phase.image[inner(in_phase, label)]) for label in labels}
        assert median[Abdomen.SUBCUTANEOUS_FAT] > median[Abdomen.LIVER] > median[Abdomen.SPLEEN]
        assert median[Abdomen.SPLEEN] > 3 * median[Abdomen.LUNG]
        assert median[Abdomen.AIR] < 0.1 * median[Abdomen.LIVER]


def test_t2_shows_fluid_and_suppresses_fat(bodies):
    for body in bodies:
        t2 = abdomen_t2(body, (18, 64, 64))
        liver, spleen, fat = (
            np.median(t2.image[inner(t2, label)]) for label in (Abdomen.LIVER, Abdomen.SPLEEN, Abdomen.SUBCUTANEOUS_FAT)
        )
        fluid = np.percentile(t2.image[t2.labels == Abdomen.SPINAL_CANAL], 95)
        assert fluid > spleen > liver > fat


# one body


def nearest(scan, points):
    """Labels of a scan at points [n, 3] (x, y, z) in mm, and which of them it covers."""
    index = np.rint((points - scan.origin) / scan.spacing).astype(int)
    covered = ((index >= 0) & (index < scan.labels.shape[::-1])).all(1)
    return scan.labels[tuple(index[covered].T[::-1])], covered


def test_images_of_a_body_agree_in_the_world(bodies, scans):
    for body, ct in zip(bodies, scans, strict=True):
        t1, t2 = abdomen_t1(body, SHAPE)[0], abdomen_t2(body, (18, 64, 64))
        assert t1.spacing != t2.spacing
        inside = np.argwhere(inner(t1, Abdomen.LIVER))
        points = inside[:, ::-1] * t1.spacing + t1.origin
        for other in (ct, t2):
            found, covered = nearest(other, points)
            assert covered.all()
            assert np.isin(found, (Abdomen.LIVER, Abdomen.PORTAL_VEIN)).mean() > 0.95
        everywhere = np.argwhere(t1.labels > 0)
        found, covered = nearest(ct, everywhere[:, ::-1] * t1.spacing + t1.origin)
        assert (found == t1.labels[t1.labels > 0][covered]).mean() > 0.8
        assert covered.mean() > 0.9


def test_true_ct_lies_on_the_grid_of_t1_and_has_the_hu_of_the_tissues(bodies):
    for body in bodies[:2]:
        for contrast in (True, False):
            true = abdomen_true_ct(body, SHAPE, contrast)
            in_phase = abdomen_t1(body, SHAPE)[0]
            np.testing.assert_array_equal(true.labels, in_phase.labels)
            assert true[2:] == in_phase[2:]
            expected = patient_hu(body, contrast)
            for label in (Abdomen.LIVER, Abdomen.MUSCLE, Abdomen.AIR):
                deep = inner(true, label, iterations=2)
                assert np.median(true.image[deep]) == pytest.approx(expected[label].mean, abs=1)
            assert not np.isin(true.labels, (Abdomen.TABLE, Abdomen.TABLE_FOAM)).any()


def test_true_ct_is_what_the_scanner_sees(bodies, scans):
    """The noisy, textured CT on its finer grid has the same HU at the same points, but for the scanner's air."""
    for body, ct in zip(bodies, scans, strict=True):
        true = abdomen_true_ct(body, SHAPE)
        deep = inner(true, Abdomen.LIVER)
        index = np.argwhere(deep)[:, ::-1]
        at = np.rint((index * true.spacing + true.origin - ct.origin) / ct.spacing).astype(int)
        difference = ct.image[tuple(at.T[::-1])].astype(float) - true.image[deep]
        assert abs(difference.mean()) < 6
