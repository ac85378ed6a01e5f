"""Brain phantoms: whether they are heads, whether they look as T1 does, and how they lie on disk."""

import csv
import json
from functools import partial

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from tools.data.labels import with_labels
from tools.data.phantoms import brain, gsp
from tools.data.phantoms.brain import BRAIN_TISSUES, Brain, brain_labels, brain_t1
from tools.data.phantoms.fields import drift
from tools.data.phantoms.gsp import subject_numbers, write_gsp_phantoms
from tools.data.phantoms.mr import MPRAGE, MRScanner, MRTissue, mr_image
from tools.data.volumes import section_datalist
from tools.phantom import phantom

SMALL = (32, 36, 28)
SOFT = (Brain.GREY, Brain.WHITE, Brain.DEEP_GREY, Brain.THALAMUS, Brain.VENTRICLE)


@pytest.fixture(scope="module")
def heads():
    return [brain_t1([11, seed], lesions=2 * (seed % 2)) for seed in range(4)]


def centroid(mask):
    return np.array(ndimage.center_of_mass(mask))


def litres(head, *tissues):
    return np.prod(head.spacing) * np.isin(head.labels, tissues).sum() / 1e6


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# the signal


def test_signal_equals_that_of_the_pulses_played_one_by_one():
    sequence, tissue = MPRAGE(), MRTissue(0.7, 840, 53)
    cosine, m, signal = np.cos(np.deg2rad(sequence.flip)), 1.0, 0.0
    train = sequence.pulses * sequence.spacing
    before, after = sequence.inversion - train / 2, sequence.repetition - sequence.inversion - train / 2

    def relax(m, time):
        return 1 + (m - 1) * np.exp(-time / tissue.t1)

    for _ in range(20):  # into the steady state
        m = relax(-m, before)
        for pulse in range(sequence.pulses):
            if pulse == sequence.pulses // 2:
                signal = m
            m = relax(m * cosine, sequence.spacing)
        m = relax(m, after)
    expected = tissue.density * np.sin(np.deg2rad(sequence.flip)) * signal * np.exp(-sequence.echo / tissue.t2_star)
    assert sequence.signal(tissue) == pytest.approx(expected, rel=1e-6)


def test_contrast_is_that_of_t1():
    signal = {tissue: MPRAGE().signal(properties) for tissue, properties in BRAIN_TISSUES.items()}
    order = (Brain.SKULL, Brain.CSF, Brain.LESION, Brain.GREY, Brain.DEEP_GREY, Brain.THALAMUS, Brain.WHITE, Brain.FAT)
    assert [signal[t] for t in order] == sorted(signal[t] for t in order)
    assert signal[Brain.AIR] == 0


def test_noise_is_rician_and_sensitivity_smooth():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[:, 20:] = 1
    tissues = {0: MRTissue(0, 1000, 10), 1: MRTissue(0.7, 840, 53)}
    scanner = MRScanner(2e5, 0.002, 0.0, 0.4)
    image = mr_image(labels, tissues, MPRAGE(), scanner, np.random.default_rng(0), (2, 2, 2)).astype(float)
    assert image[:, :16].mean() == pytest.approx(400 * np.sqrt(np.pi / 2), rel=0.01)  # Rayleigh in air
    assert image[:, 24:].std() == pytest.approx(400, rel=0.03)
    assert image[:, 24:].mean() == pytest.approx(2e5 * np.hypot(MPRAGE().signal(tissues[1]), 0.002), rel=0.01)
    field, finer = (drift(np.random.default_rng(1), (n, n, n)) for n in (20, 40))
    assert field.std() == pytest.approx(1)
    assert abs(np.diff(field, axis=0)).max() < 1
    np.testing.assert_allclose(finer.reshape(20, 2, 20, 2, 20, 2).mean((1, 3, 5)), field, atol=0.05)


# determinism and variety


def test_same_seed_same_phantom_and_other_seed_another(heads):
    again = brain_t1([11, 0])
    np.testing.assert_array_equal(again.t1, heads[0].t1)
    np.testing.assert_array_equal(again.labels, heads[0].labels)
    masks = [np.isin(h.labels, SOFT) for h in heads]
    overlaps = [2 * (a & b).sum() / (a.sum() + b.sum()) for i, a in enumerate(masks) for b in masks[:i]]
    assert max(overlaps) < 0.97
    assert min(overlaps) > 0.6
    grey = [h.labels == Brain.GREY for h in heads]  # everyone's cortex folds in their own way
    assert max(2 * (a & b).sum() / (a.sum() + b.sum()) for i, a in enumerate(grey) for b in grey[:i]) < 0.65


def test_lesions_change_nothing_but_themselves():
    plain, ill = (brain_t1(5, lesions=n) for n in (0, 2))
    changed = plain.labels != ill.labels
    assert set(np.unique(ill.labels[changed])) == {Brain.LESION}
    assert set(np.unique(plain.labels[changed])) == {Brain.WHITE}
    far = ~ndimage.binary_dilation(changed, iterations=3)
    np.testing.assert_array_equal(plain.t1[far], ill.t1[far])  # the same noise too
    assert len(ill.lesions) == 2
    for lesion in ill.lesions:
        i, j, k = np.rint((np.array(lesion.centre) - ill.origin) / ill.spacing).astype(int)
        assert ill.labels[k, j, i] == Brain.LESION
        assert 6 <= lesion.diameter <= 20
        assert ill.t1[k, j, i] < 0.8 * np.median(ill.t1[ill.labels == Brain.WHITE])


def test_resolution_does_not_change_the_patient():
    coarse, fine = brain_t1(3, (70, 83, 64)), brain_t1(3)
    assert coarse.spacing == (3.0, 3.0, 3.0)
    for tissues in (SOFT, (Brain.CEREBELLAR_GREY, Brain.CEREBELLAR_WHITE), (Brain.VENTRICLE,)):
        assert litres(coarse, *tissues) == pytest.approx(litres(fine, *tissues), rel=0.12)
    assert brain_t1(0, (20, 24, 28), spacing=(9.0, 8.0, 7.0)).spacing == (7.0, 8.0, 9.0)


def test_painting_by_slabs_leaves_no_seams(monkeypatch):
    monkeypatch.setattr(brain, "SLAB_VOXELS", 10**9)
    whole = brain_labels(9, (48, 56, 44))
    monkeypatch.setattr(brain, "SLAB_VOXELS", 1)
    np.testing.assert_array_equal(brain_labels(9, (48, 56, 44)), whole)


def test_bad_arguments():
    with pytest.raises(ValueError, match="no room for a lesion"):
        brain_labels(0, (16, 16, 16), lesions=1)
    with pytest.raises(ValueError, match="cannot be negative"):
        brain_labels(0, SMALL, lesions=-1)
    with pytest.raises(ValueError, match="three positive numbers"):
        brain_labels(0, (16, 16))


# anatomy: arrays are [z to the head, y to the back, x to the patient's left]


def test_every_label_has_a_tissue_and_occurs(heads):
    assert set(BRAIN_TISSUES) == set(Brain)
    assert set(np.unique(np.stack([h.labels for h in heads]))) == set(Brain)


def test_volumes_are_those_of_adults(heads):
    for head in heads:
        assert 0.9 < litres(head, *SOFT) < 1.7
        assert 0.4 < litres(head, Brain.GREY) < 0.9
        assert 0.35 < litres(head, Brain.WHITE) < 0.8
        assert 0.09 < litres(head, Brain.CEREBELLAR_GREY, Brain.CEREBELLAR_WHITE) < 0.26
        assert 0.004 < litres(head, Brain.VENTRICLE) < 0.04


def test_brain_lies_in_the_skull_and_in_the_head(heads):
    for head in heads:
        brain = np.isin(head.labels, SOFT)
        outside = np.isin(head.labels, (Brain.AIR, Brain.SKIN, Brain.FAT, Brain.MARROW))
        assert not (ndimage.binary_dilation(brain) & outside).any()
        parts, _ = ndimage.label(np.isin(head.labels, (*SOFT, Brain.BRAINSTEM)))
        sizes = np.bincount(parts.ravel())[1:]
        assert sizes.max() > 0.97 * sizes.sum()
        # air around the head on every side but below, where the neck goes on
        faces = (head.labels[-1], head.labels[:, -1], head.labels[:, :, 0], head.labels[:, :, -1])
        assert not any(face.any() for face in faces)
        assert head.labels[0].any()


def test_cortex_covers_the_white_matter_and_folds(heads):
    for head in heads:
        white = head.labels == Brain.WHITE
        touched = ndimage.binary_dilation(white) & np.isin(head.labels, (Brain.CSF,))
        assert touched.sum() < 0.05 * white.sum()
        # a hull of the same volume has far less surface than the folded brain
        brain = np.isin(head.labels, SOFT)
        hull = ndimage.binary_closing(brain, iterations=6)
        surface = [(m ^ ndimage.binary_erosion(m)).sum() for m in (brain, hull)]
        assert surface[0] > 1.7 * surface[1]


def test_parts_are_where_they_belong(heads):
    for head in heads:
        where = {label: centroid(head.labels == label) for label in np.unique(head.labels)}
        white = where[Brain.WHITE]
        cerebellum = where[Brain.CEREBELLAR_WHITE]
        assert cerebellum[0] < white[0] - 15  # below the cerebrum and at the back
        assert cerebellum[1] > white[1] + 5
        assert where[Brain.EYE][1] < white[1] - 25  # in front
        assert where[Brain.BRAINSTEM][0] < where[Brain.THALAMUS][0]
        assert abs(where[Brain.VENTRICLE][2] - white[2]) < 4
        assert ndimage.label(head.labels == Brain.EYE)[1] == 2
        left = head.labels[:, :, int(white[2]) :]
        assert 0.42 < (left == Brain.WHITE).sum() / (head.labels == Brain.WHITE).sum() < 0.58


def test_image_shows_the_tissues(heads):
    for head in heads:
        assert head.t1.dtype == np.int16
        assert head.t1.min() >= 0
        median = {
            label: np.median(head.t1[ndimage.binary_erosion(head.labels == label)])
            for label in (Brain.AIR, Brain.CSF, Brain.WHITE, Brain.DEEP_GREY)
        }
        assert median[Brain.AIR] < 0.1 * median[Brain.WHITE]
        assert median[Brain.CSF] < 0.4 * median[Brain.WHITE]
        assert 0.65 < median[Brain.DEEP_GREY] / median[Brain.WHITE] < 0.95


# on disk


@pytest.mark.parametrize(("count", "validation"), [(2, 1), (4, 2), (19, 2), (20, 4), (60, 6)])
def test_enough_are_held_out(count, validation):
    subjects = subject_numbers(count)
    assert len({number for number, _, _ in subjects}) == count
    assert sum(side for _, _, side in subjects) == validation
    assert set(subject_numbers(count)) <= set(subject_numbers(count + 40))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms") / "deep" / "gsp"
    return write_gsp_phantoms(root, 20, seed=3, shape=(52, 60, 44), lesions="half", progress=False)


@pytest.mark.filterwarnings("error")
def test_layout_is_that_of_gsp(folder):
    record = json.loads((folder / "phantom.json").read_text())
    assert (record["anatomy"], record["count"], record["seed"], record["lesions"]) == ("brain", 20, 3, "half")
    with (folder / "labels.csv").open() as file:
        classes = {row["id"]: int(row["label"]) for row in csv.DictReader(file)}
    found = {section: section_datalist("gsp", folder, section) for section in ("training", "validation")}
    assert (len(found["training"]), len(found["validation"])) == (16, 4)
    for section, items in found.items():
        labelled = with_labels(items, folder / "labels.csv", 2)
        assert sum(item["label"] for item in labelled) == len(items) // 2  # both classes on both sides
        expected = {v["id"]: folder / v["image"] for v in record["volumes"] if v["section"] == section}
        assert {item["id"]: item["image"] for item in items} == {i: str(p) for i, p in expected.items()}
    for volume in record["volumes"]:
        image = sitk.ReadImage(str(folder / volume["image"]))
        assert image.GetPixelID() == sitk.sitkInt16
        assert image.GetSize() == (44, 60, 52)
        assert image.GetSpacing() == pytest.approx(volume["spacing"])
        assert image.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
        assert classes[volume["id"]] == volume["label"] == bool(volume["lesions"])


def test_written_volume_is_the_phantom(folder):
    volume = json.loads((folder / "phantom.json").read_text())["volumes"][1]
    number = int(volume["id"][3:7])
    expected = brain_t1([3, number], (52, 60, 44), lesions=len(volume["lesions"]))
    image = sitk.ReadImage(str(folder / volume["image"]))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected.t1)
    assert image.GetOrigin() == pytest.approx(expected.origin, abs=1e-3)


def test_same_settings_same_bytes_and_reuse(tmp_path, monkeypatch):
    write = partial(write_gsp_phantoms, shape=SMALL, progress=False)
    first, second, more = write(tmp_path / "a", 3), write(tmp_path / "b", 3), write(tmp_path / "c", 5)
    assert tree(first) == tree(second)
    volumes = {name: content for name, content in tree(first).items() if name.suffix == ".gz"}
    assert len(volumes) == 3
    assert volumes.items() <= tree(more).items()
    monkeypatch.setattr(gsp, "_write", lambda *_: pytest.fail("written again"))
    assert write(tmp_path / "a", 3) == first
    with pytest.raises(FileExistsError, match="count is 3 there, 4 is asked for"):
        write(tmp_path / "a", 4)


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(gsp, "write_nifti", fail)
    with pytest.raises(OSError, match="disk full"):
        write_gsp_phantoms(tmp_path / "p", 2, shape=SMALL, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 1}, "count"),
        ({"seed": -1}, "seed"),
        ({"shape": (8, 9, 9)}, "shape"),
        ({"lesions": "some"}, "lesions"),
    ],
)
def test_bad_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_gsp_phantoms(tmp_path / "p", **{"count": 2, "shape": SMALL, **arguments})
    assert not list(tmp_path.iterdir())


# the command


def test_command_writes_and_previews(tmp_path, capsys):
    phantom(str(tmp_path / "p"), anatomy="brain", count=4, lesions="half", image_size=64)
    out = capsys.readouterr().out
    assert "4 brain T1 phantoms of 64 x 64 x 64 voxels" in out
    assert "2 to train on, 2 to validate; 2 with lesions" in out
    assert (tmp_path / "p" / "preview.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="nodules is 'half', but a brain has none"):
        phantom(str(tmp_path / "q"), anatomy="brain", nodules="half")
    with pytest.raises(ValueError, match="lesions is 'half', but a thorax has none"):
        phantom(str(tmp_path / "q"), lesions="half")
