"""Head CT: whether each type of bleeding lies where it belongs and looks as blood does, and the three layouts."""

import csv
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from scipy import ndimage

from tools.data.phantoms.bleeds import OEDEMA, TYPES, WITHIN, Bleed
from tools.data.phantoms.brain import Brain
from tools.data.phantoms.cq500 import FINDINGS, write_cq500_phantoms
from tools.data.phantoms.head_ct import HEAD_TISSUES, blood, head_ct
from tools.data.phantoms.head_patients import bleeds_of
from tools.data.phantoms.physionet_ich import write_physionet_ich_phantoms
from tools.data.phantoms.rsna_ich import TAGS, write_rsna_ich_phantoms
from tools.datasets.splitting import is_held_out

SMALL = (24, 72, 72)
SKULL = (Brain.SKULL, Brain.MARROW)


@pytest.fixture(scope="module")
def plain():
    return head_ct([4, 1], SMALL)


@pytest.fixture(scope="module")
def heads():
    """The same patient with each type of bleeding, of one day."""
    return {kind: head_ct([4, 1], SMALL, (kind,), days=1.0) for kind in TYPES}


def mask(head, kind):
    return head.labels == Bleed[kind.upper()]


def millilitres(head, kind):
    return mask(head, kind).sum() * np.prod(head.spacing) / 1000


def inner_wall(head):
    """How far voxels within the skull are from it, in mm."""
    inside = np.isin(head.labels, (*WITHIN, *Bleed, OEDEMA, 37))
    return ndimage.distance_transform_edt(inside, sampling=head.spacing[::-1])


# where it lies


def test_only_what_is_asked_for_bleeds(plain, heads):
    assert not plain.bleed_labels.any()
    for value, (kind, head) in enumerate(heads.items(), start=1):
        assert set(np.unique(head.bleed_labels)) == {0, value}
        np.testing.assert_array_equal(head.bleed_labels == value, mask(head, kind))
        assert [bleeding.type for bleeding in head.bleeds] == [kind]


def test_epidural_and_subdural_touch_the_skull_on_one_side_of_the_falx(heads):
    for kind in ("epidural", "subdural"):
        blood = mask(heads[kind], kind)
        assert (ndimage.binary_dilation(blood) & np.isin(heads[kind].labels, SKULL)).sum() > 0.1 * blood.sum()
        columns = np.nonzero(blood)[2] + 0.5 - blood.shape[2] / 2
        assert (np.sign(columns) == heads[kind].bleeds[0].side).all()


def test_epidural_is_a_lens_and_subdural_a_crescent(heads):
    """A lens is thick for its width, a crescent thin: greatest distance from the skull against the extent along it."""
    shape = {}
    for kind in ("epidural", "subdural"):
        head, blood = heads[kind], mask(heads[kind], kind)
        thick = inner_wall(head)[blood].max()
        extent = max(np.ptp(i) * h for i, h in zip(np.nonzero(blood), head.spacing[::-1], strict=True))
        shape[kind] = thick / extent
        assert ndimage.label(blood, np.ones((3, 3, 3)))[1] == 1
    assert 0.2 < shape["epidural"] < 0.6
    assert 0.03 < shape["subdural"] < 0.18


def test_subdural_face_to_the_brain_is_hollow_and_epidural_bulges(heads):
    """Middle of a lens: thicker than between its rims; the crescent's thickness hardly changes over a third of it."""
    for kind, least, most in (("epidural", 1.15, 9), ("subdural", 0.8, 1.6)):
        head, blood = heads[kind], mask(heads[kind], kind)
        depth = np.where(blood, inner_wall(head), 0)
        z = blood.sum((1, 2)).argmax()
        rows = np.nonzero(blood[z].any(1))[0]
        profile = depth[z].max(1)[rows.min() : rows.max() + 1]
        n = len(profile)
        assert least < profile[n // 3 : -(n // 3)].mean() / profile[n // 6 : n // 3].mean() < most


def test_intraventricular_blood_replaces_ventricles(plain, heads):
    head = heads["intraventricular"]
    blood = mask(head, "intraventricular")
    assert (plain.labels[blood] == Brain.VENTRICLE).all()
    ventricles = plain.labels == Brain.VENTRICLE
    rows = np.indices(blood.shape)[1]
    assert rows[blood].mean() > rows[ventricles].mean()  # it settles at the back


def test_subarachnoid_blood_replaces_fluid(plain, heads):
    blood = mask(heads["subarachnoid"], "subarachnoid")
    assert (plain.labels[blood] == Brain.CSF).all()


def test_intraparenchymal_blood_lies_in_the_brain_within_oedema(plain, heads):
    head = heads["intraparenchymal"]
    blood = mask(head, "intraparenchymal")
    assert inner_wall(head)[blood].min() > 3
    around = ndimage.binary_dilation(blood, iterations=2) & (head.labels == OEDEMA)
    assert around.any()
    hosts = (Brain.GREY, Brain.WHITE, Brain.DEEP_GREY, Brain.THALAMUS, Brain.CSF, Brain.VENTRICLE)
    assert np.isin(plain.labels[blood], hosts).all()


def test_volumes_are_those_that_are_seen():
    least = {"epidural": 8, "subdural": 12, "intraparenchymal": 1, "intraventricular": 1, "subarachnoid": 2}
    most = {"epidural": 140, "subdural": 190, "intraparenchymal": 60, "intraventricular": 60, "subarachnoid": 90}
    for kind in TYPES:
        assert least[kind] < millilitres(head_ct([8, 20], SMALL, (kind,)), kind) < most[kind]


def test_masses_push_and_the_skull_stays(plain, heads):
    for kind in ("epidural", "subdural", "intraparenchymal"):
        head = heads[kind]
        np.testing.assert_array_equal(np.isin(head.labels, SKULL), np.isin(plain.labels, SKULL))
        assert head.bleeds[0].shift > 1
    assert heads["epidural"].midline > 0
    assert heads["subarachnoid"].midline == plain.midline == 0
    # the lateral ventricles move away from the blood
    head, side = heads["epidural"], heads["epidural"].bleeds[0].side
    moved, before = (ndimage.center_of_mass(h.labels == Brain.VENTRICLE)[2] for h in (head, plain))
    assert (before - moved) * side * head.spacing[0] > 0.5


# how it looks


def inner_mean(head, label):
    region = ndimage.binary_erosion(head.labels == label, iterations=1)
    return head.hu[region].mean() if region.sum() > 30 else np.nan


def test_fresh_blood_is_brighter_than_brain_and_within_its_range(heads):
    for kind in ("epidural", "intraparenchymal"):
        value = inner_mean(heads[kind], Bleed[kind.upper()])
        assert 50 < value < 80
    for kind in TYPES:
        head = heads[kind]
        assert np.median(head.hu[mask(head, kind)]) > np.median(head.hu[head.labels == Brain.GREY]) + 3


def test_blood_fades_as_the_days_go_by_but_not_in_the_sulci():
    at = {days: blood(np.random.default_rng(0), days) for days in (0, 10, 20, 60)}
    epidural = [at[days][Bleed.EPIDURAL].mean for days in at]
    assert 50 < epidural[0] < 80
    assert epidural[0] - epidural[1] == pytest.approx(14)
    assert epidural[-1] == 18
    assert at[60][Bleed.SUBARACHNOID].mean > 50
    fresh, old = (head_ct([4, 1], SMALL, ("subdural",), days=d) for d in (0, 25))
    np.testing.assert_array_equal(fresh.labels, old.labels)
    where = mask(fresh, "subdural")
    assert np.median(fresh.hu[where]) - np.median(old.hu[where]) == pytest.approx(35, abs=6)


def test_tissues_have_the_hu_of_the_table(plain):
    for label in (Brain.WHITE, Brain.CEREBELLAR_GREY):
        region = ndimage.binary_erosion(plain.labels == label)
        assert plain.hu[region].mean() == pytest.approx(HEAD_TISSUES[label].mean, abs=4)
    assert np.median(plain.hu[plain.labels == Brain.SKULL]) > 500
    assert plain.hu[plain.labels == Brain.AIR].min() <= -990


def test_same_seed_same_head_and_another_scan_is_the_same_patient(heads):
    again = head_ct([4, 1], SMALL, ("subdural",), days=1.0)
    np.testing.assert_array_equal(again.hu, heads["subdural"].hu)
    later = head_ct([4, 1], SMALL, ("subdural",), days=1.0, scan=1)
    assert (later.hu != again.hu).any()
    assert millilitres(later, "subdural") == pytest.approx(millilitres(again, "subdural"), rel=0.15)
    other = head_ct([4, 2], SMALL, ("subdural",), days=1.0)
    assert (other.labels != again.labels).mean() > 0.02


def test_types_are_shared_out():
    types = [bleeds_of(0, number) for number in range(30)]
    assert sum(not kinds for kinds in types) == 10
    assert {kinds[0] for kinds in types if kinds} == set(TYPES)
    assert {len(kinds) for kinds in types} == {0, 1, 2}


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="types of bleeding are epidural"):
        head_ct(0, SMALL, ("extradural",))
    with pytest.raises(ValueError, match="three positive numbers"):
        head_ct(0, (24, 72))


# on disk

COUNT, SHAPE = 4, (16, 40, 40)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("heads")
    return {
        "rsna": write_rsna_ich_phantoms(root / "rsna", COUNT, 1, SHAPE, progress=False),
        "physionet": write_physionet_ich_phantoms(root / "physionet", COUNT, 1, SHAPE, progress=False),
        "cq500": write_cq500_phantoms(root / "cq500", COUNT, 1, SHAPE, progress=False),
    }


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def volumes(folder):
    return json.loads((folder / "phantom.json").read_text())["volumes"]


def truth(folder, volume):
    ct, types = (nib.load(folder / p) for p in (volume["images"]["ct"], volume["annotation"]))
    assert nib.aff2axcodes(ct.affine) == ("L", "P", "S")
    return np.asarray(ct.dataobj), np.asarray(types.dataobj)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # as published
def test_rsna_slices_are_told_apart_by_their_headers_alone(folders):
    folder = folders["rsna"]
    rows = {row["ID"]: int(row["Label"]) for row in table(folder / "stage_2_train.csv")}
    slices = {p.stem: pydicom.dcmread(p) for p in (folder / "stage_2_train").iterdir()}
    assert set(rows) == {f"{name}_{kind}" for name in slices for kind in (*TYPES, "any")}
    studies = {}
    for name, dataset in slices.items():
        assert name == dataset.SOPInstanceUID
        assert len(name) == 12
        assert {element.keyword for element in dataset} == {*TAGS, "SyntheticData"}
        studies.setdefault(dataset.StudyInstanceUID, []).append(dataset)
    assert {v["id"] for v in volumes(folder)} == set(studies)
    assert len(studies) > len({d.PatientID for d in slices.values()}) == COUNT  # one of them was scanned twice
    for volume in volumes(folder):
        series = sorted(studies[volume["id"]], key=lambda d: d.ImagePositionPatient[2])
        assert {d.PatientID for d in series} == {volume["patient"]}
        assert is_held_out(volume["patient"], one_in=10) == (volume["section"] == "validation")
        ct, types = truth(folder, volume)
        for index, dataset in enumerate(series):
            hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
            least = -9999 if dataset.PixelRepresentation else -1024
            np.testing.assert_array_equal(hu, np.maximum(ct[..., index].T, least))
            found = [rows[f"{dataset.SOPInstanceUID}_{kind}"] for kind in TYPES]
            assert found == [int((types[..., index] == value).any()) for value in range(1, 6)]
            assert rows[f"{dataset.SOPInstanceUID}_any"] == max(found)


def test_physionet_has_masks_and_a_row_for_each_slice(folders):
    folder = folders["physionet"]
    rows = table(folder / "hemorrhage_diagnosis_raw_ct.csv")
    types = ["Intraventricular", "Intraparenchymal", "Subarachnoid", "Epidural", "Subdural"]
    assert list(rows[0]) == ["PatientNumber", "SliceNumber", *types, "No_Hemorrhage", "Fracture_Yes_No"]
    assert len(rows) == COUNT * SHAPE[0]
    for volume in volumes(folder):
        scan, mask = (nib.load(folder / kind / f"{volume['id']}.nii") for kind in ("ct_scans", "masks"))
        ct, types = truth(folder, volume)
        np.testing.assert_array_equal(scan.dataobj, ct)
        np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, types > 0)
        for row in rows:
            if int(row["PatientNumber"]) == int(volume["id"]):
                present = types[..., int(row["SliceNumber"]) - 1]
                for value, kind in enumerate(TYPES, start=1):
                    assert int(row[kind.capitalize()]) == (present == value).any()
                assert int(row["No_Hemorrhage"]) == (not present.any())
    assert {v["id"] for v in volumes(folder)} >= {"049", "050"}


def test_cq500_has_a_folder_and_a_row_for_each_patient(folders):
    folder = folders["cq500"]
    rows = {row["name"]: row for row in table(folder / "reads.csv")}
    assert list(next(iter(rows.values())))[:3] == ["name", "Category", "R1:ICH"]
    short = {"EDH": 1, "IPH": 2, "IVH": 3, "SAH": 4, "SDH": 5}
    for volume in volumes(folder):
        patient = volume["id"].replace("-", "")
        series = sorted((folder / f"{patient} {patient}" / "Unknown Study" / "CT Plain").iterdir())
        assert [p.name for p in series] == [f"CT{i:06d}.dcm" for i in range(SHAPE[0])]
        ct, types = truth(folder, volume)
        first = pydicom.dcmread(series[3])
        np.testing.assert_array_equal(first.pixel_array, ct[..., 3].T)
        row = rows[volume["id"]]
        for reader in ("R1", "R2", "R3"):
            for name, value in short.items():
                assert int(row[f"{reader}:{name}"]) >= (types == value).any()
            assert int(row[f"{reader}:ICH"]) == volume["label"]
            assert {int(row[f"{reader}:{finding}"]) for finding in FINDINGS} <= {0, 1}
        if volume["label"]:
            left = (types > 0)[types.shape[0] // 2 :].sum() / (types > 0).sum()
            assert int(row["R1:BleedLocation-Left"]) or left < 0.5
            assert int(row["R1:BleedLocation-Right"]) or left > 0.5


def test_same_settings_same_bytes(folders, tmp_path):
    again = write_rsna_ich_phantoms(tmp_path / "rsna", COUNT, 1, SHAPE, progress=False)
    for path in folders["rsna"].rglob("*.dcm"):
        assert path.read_bytes() == (again / path.relative_to(folders["rsna"])).read_bytes()
