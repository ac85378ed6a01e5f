"""CT of the abdomen with tumours and organs, and MR of the hippocampus: their labels, and their layouts."""

import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from monai.data import load_decathlon_datalist
from PIL import Image
from scipy import ndimage

from tools.data.phantoms.abdomen import abdomen_ct, patient_hu
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_organs import AMOS, LIVER_TUMOUR, amos_organs
from tools.data.phantoms.abdomen_patients import abdomen_patient
from tools.data.phantoms.abdomen_tissues import Abdomen
from tools.data.phantoms.abdomen_tumours import AbdomenTumour, Tumours
from tools.data.phantoms.amos import write_amos_phantoms
from tools.data.phantoms.chaos import write_chaos_phantoms
from tools.data.phantoms.hippocampus import hippocampus_mr
from tools.data.phantoms.msd import liver_labels, pancreas_labels, write_msd_phantoms
from tools.data.phantoms.pancreas_ct import LABELS, write_pancreas_ct_phantoms
from tools.data.phantoms.shapes import Grid
from tools.datasets.splitting import is_held_out

SMALL = (48, 72, 72)


@pytest.fixture(scope="module")
def patients():
    """Two with tumours of liver and pancreas, in the portal venous phase."""
    return [abdomen_patient(9, number, SMALL, liver=True, pancreas=True) for number in (1, 2)]


def millilitres(patient, mask):
    return mask.sum() * np.prod(patient.volume.spacing) / 1000


def test_tumours_change_nothing_but_themselves(patients):
    for number, patient in enumerate(patients, start=1):
        plain = abdomen_ct(AbdomenBody.draw([9, number]), SMALL)
        changed = plain.labels != patient.volume.labels
        assert set(np.unique(patient.volume.labels[changed])) <= set(AbdomenTumour)
        hosts = (Abdomen.LIVER, Abdomen.PORTAL_VEIN, Abdomen.PANCREAS, Abdomen.VISCERAL_FAT)
        assert np.isin(plain.labels[changed], hosts).all()
        far = ~ndimage.binary_dilation(changed, iterations=3)
        difference = plain.image[far].astype(float) - patient.volume.image[far]  # of the noise alone
        assert abs(difference.mean()) < 0.5
        assert difference.std() < 60


def test_tumours_lie_in_their_organs(patients):
    for patient in patients:
        liver, pancreas = liver_labels(patient), pancreas_labels(patient)
        assert set(np.unique(liver)) == set(np.unique(pancreas)) == {0, 1, 2}
        around = ndimage.binary_dilation(liver == 2, iterations=2) & (liver != 2)
        assert (liver[around] == 1).mean() > 0.5
        assert (ndimage.binary_dilation(pancreas == 2, iterations=2) & (pancreas == 1)).any()
        np.testing.assert_array_equal(liver == 2, np.isin(patient.volume.labels, LIVER_TUMOUR))


def test_sizes_are_those_in_the_record(patients):
    for patient in patients:
        liver, pancreas = liver_labels(patient), pancreas_labels(patient)
        for mask, within in ((liver == 2, True), (pancreas == 2, False)):
            these = [t for t in patient.tumours if (t["kind"] != "ductal adenocarcinoma") == within]
            expected = sum(np.pi / 6 * t["diameter_mm"] ** 3 / 1000 for t in these)
            assert millilitres(patient, mask) == pytest.approx(expected, rel=0.02)
        assert all(5 < tumour["diameter_mm"] < 110 for tumour in patient.tumours)


def test_tumours_take_up_less_agent_than_their_organ():
    body = AbdomenBody.draw([9, 1])
    for contrast in (True, False):
        tissues = patient_hu(body, contrast)
        grid = Grid.centred((4, 4, 4), (1, 1, 1), (0, 0, 0))
        values = Tumours(body, [9, 1, 4], contrast=contrast)(np.zeros((4, 4, 4), np.uint8), grid, tissues)
        pairs = {AbdomenTumour.LIVER_TUMOUR: Abdomen.LIVER, AbdomenTumour.PANCREAS_TUMOUR: Abdomen.PANCREAS}
        for tumour, organ in pairs.items():
            less = tissues[organ].mean - values[tumour].mean
            assert (10 < less < 60) if contrast else (1 < less < 25)


def test_image_has_the_hu_of_the_labels(patients):
    for number, patient in enumerate(patients, start=1):
        tissues = patient_hu(patient.body, True)
        for label in (Abdomen.LIVER, Abdomen.SPLEEN):
            region = ndimage.binary_erosion(patient.volume.labels == label)
            assert patient.volume.image[region].mean() == pytest.approx(tissues[label].mean, abs=7), (number, label)
        tumour = pancreas_labels(patient) == 2
        gland = ndimage.binary_erosion(patient.volume.labels == Abdomen.PANCREAS)
        assert patient.volume.image[tumour].mean() < patient.volume.image[gland].mean() - 5


def test_organs_are_where_they_belong_and_have_their_volumes(patients):
    """Volumes of adults in ml (Kumar et al. 2010 and others): wide, since patients differ."""
    limits = {
        "spleen": (40, 420),
        "right kidney": (70, 260),
        "left kidney": (70, 260),
        "liver": (700, 2600),
        "stomach": (100, 900),
        "pancreas": (15, 150),
        "arota": (30, 180),
        "postcava": (30, 220),
        "duodenum": (15, 140),
        "esophagus": (3, 50),
        "left adrenal gland": (0.3, 8),
    }
    codes = {name: code for code, name in AMOS.items()}
    for patient in patients:
        organs = amos_organs(patient.volume, patient.body)
        where = {name: ndimage.center_of_mass(organs == code) for name, code in codes.items() if (organs == code).any()}
        for name, (low, high) in limits.items():
            assert low < millilitres(patient, organs == codes[name]) < high, name
        assert not np.isin(organs, (14, 15)).any()
        # columns run to the patient's left, rows to the back, slices to the head
        assert where["liver"][2] < where["spleen"][2]
        assert where["right kidney"][2] < where["arota"][2] < where["left kidney"][2]
        assert where["postcava"][2] < where["arota"][2]
        assert where["esophagus"][0] > where["duodenum"][0]
        assert where["left adrenal gland"][0] > where["left kidney"][0]
        for name in ("arota", "right kidney", "spleen"):
            parts, _ = ndimage.label(organs == codes[name], np.ones((3, 3, 3)))
            assert np.bincount(parts.ravel())[1:].max() > 0.9 * (organs == codes[name]).sum(), name


def test_same_seed_same_patient(patients):
    again = abdomen_patient(9, 1, SMALL, liver=True, pancreas=True)
    np.testing.assert_array_equal(again.volume.image, patients[0].volume.image)
    assert again.tumours == patients[0].tumours != patients[1].tumours


# the hippocampus


def test_hippocampus_has_two_parts_of_its_volume():
    gains = []
    for seed in range(6):
        phantom = hippocampus_mr(seed)
        assert set(np.unique(phantom.labels)) == {0, 1, 2}
        volume = (phantom.labels > 0).sum() * np.prod(phantom.spacing) / 1000
        assert 1.8 < volume < 6.5  # ml, in adults 2.5 to 4.5
        anterior, posterior = (ndimage.center_of_mass(phantom.labels == part) for part in (1, 2))
        assert anterior[1] < posterior[1] - 5  # rows run to the back
        assert ndimage.label(phantom.labels > 0)[1] == 1
        gains.append(np.percentile(phantom.image, 95))
    assert max(gains) > 20 * min(gains)
    np.testing.assert_array_equal(hippocampus_mr(0).image, hippocampus_mr(0).image)


# on disk


def record(folder):
    return json.loads((folder / "phantom.json").read_text())["volumes"]


@pytest.mark.parametrize(
    ("task", "name", "labels"),
    [
        ("liver", "liver_0", ["background", "liver", "cancer"]),
        ("pancreas", "pancreas_001", ["background", "pancreas", "cancer"]),
        ("hippocampus", "hippocampus_001", ["background", "Anterior", "Posterior"]),
    ],
)
def test_monai_reads_the_tasks_of_the_decathlon(tmp_path, task, name, labels):
    shape = None if task == "hippocampus" else (32, 48, 48)
    folder = write_msd_phantoms(tmp_path / task, task, 2, 3, shape, progress=False)
    described = json.loads((folder / "dataset.json").read_text())
    assert [described["labels"][str(i)] for i in range(3)] == labels
    assert described["modality"] == {"0": "MRI" if task == "hippocampus" else "CT"}
    items = load_decathlon_datalist(folder / "dataset.json", True, "training")
    assert len(items) == described["numTraining"] == 2
    assert items[0]["image"].endswith(f"imagesTr/{name}.nii.gz")
    for item, volume in zip(items, record(folder), strict=True):
        image, label = nib.load(item["image"]), nib.load(item["label"])
        assert image.shape == label.shape
        np.testing.assert_allclose(image.affine, label.affine)
        assert set(np.unique(label.dataobj)) <= {0, 1, 2}
        assert is_held_out(volume["id"], one_in=10) == (volume["section"] == "validation")


def test_amos_has_sections_and_the_published_names(tmp_path):
    folder = write_amos_phantoms(tmp_path / "amos", 2, 1, (32, 48, 48), progress=False)
    described = json.loads((folder / "dataset.json").read_text())
    assert described["labels"]["8"] == "arota"
    assert len(described["labels"]) == 16
    for section, kind in (("training", "Tr"), ("validation", "Va")):
        (pair,) = load_decathlon_datalist(folder / "dataset.json", True, section)
        assert f"images{kind}/amos_" in pair["image"]
        label = nib.load(pair["label"])
        assert set(np.unique(label.dataobj)) - {4, 11} == {0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 13}
        assert nib.aff2axcodes(label.affine) == ("L", "P", "S")


def test_pancreas_ct_has_dicom_and_nifti_on_one_grid(tmp_path):
    folder = write_pancreas_ct_phantoms(tmp_path / "nih", 2, 1, (32, 48, 48), progress=False)
    for volume in record(folder):
        label = nib.load(folder / LABELS / f"label{volume['id'][-4:]}.nii.gz")
        files = sorted((folder / "Pancreas-CT" / volume["id"]).rglob("*.dcm"))
        slices = [pydicom.dcmread(path) for path in files]
        assert files[0].name == "1-001.dcm"
        voxels = np.stack([s.pixel_array.T for s in slices], -1)
        assert voxels.shape == label.shape
        origin = np.array(slices[0].ImagePositionPatient, float) * (-1, -1, 1)  # LPS to RAS
        np.testing.assert_allclose(label.affine[:3, 3], origin, atol=1e-3)
        mask = np.asarray(label.dataobj)
        assert set(np.unique(mask)) == {0, 1}
        assert 20 < np.median(voxels[mask > 0]) < 130
        assert volume["label"] == 0
        assert is_held_out(volume["id"][-4:], one_in=10) == (volume["section"] == "validation")


def test_chaos_has_its_organs_as_png(tmp_path):
    folder = write_chaos_phantoms(tmp_path / "chaos", 4, 1, (16, 32, 32), progress=False)
    study = folder / "Train_Sets" / "MR" / "1"
    for image, ground, values in (
        (study / "T1DUAL" / "DICOM_anon" / "InPhase", study / "T1DUAL" / "Ground", {0, 63, 126, 189, 252}),
        (study / "T2SPIR" / "DICOM_anon", study / "T2SPIR" / "Ground", {0, 63, 126, 189, 252}),
        (folder / "Train_Sets/CT/1/DICOM_anon", folder / "Train_Sets/CT/1/Ground", {0, 255}),
    ):
        slices, masks = sorted(image.iterdir()), sorted(ground.iterdir())
        if "MR" in str(image):
            assert [p.stem for p in masks] == [p.stem for p in slices]
        else:
            assert [p.name for p in masks] == [f"liver_GT_{i:03d}.png" for i in range(len(slices))]
        labels = np.stack([np.asarray(Image.open(p)) for p in masks])
        voxels = np.stack([pydicom.dcmread(p).pixel_array for p in slices]).astype(float)
        assert labels.shape == voxels.shape
        assert labels.dtype == np.uint8
        assert set(np.unique(labels)) == values
        liver = ndimage.binary_erosion(labels == max(values - {0}, key=lambda v: (labels == v).sum()))
        assert voxels[liver].std() < 0.25 * voxels[liver].mean()  # one tissue


def test_bad_task_is_named(tmp_path):
    with pytest.raises(ValueError, match="task must be one of liver, pancreas, hippocampus, chest; got 'colon'"):
        write_msd_phantoms(tmp_path / "p", "colon")


def test_chests_have_their_tissues_as_classes_and_nodules_in_the_lungs(tmp_path):
    """HU of each class are those of its tissues, without partial volumes; nnU-Net's names are in `dataset.json`."""
    folder = write_msd_phantoms(tmp_path / "chest", "chest", 2, 1, (40, 48, 48), progress=False)
    said = json.loads((folder / "dataset.json").read_text())
    values = {name: int(value) for value, name in said["labels"].items()}
    assert said["modality"] == {"0": "CT"}
    for entry in said["training"]:
        image, label = (nib.load(folder / entry[kind]) for kind in ("image", "label"))
        assert np.array_equal(image.affine, label.affine)
        hu, index = np.asarray(image.dataobj), np.asarray(label.dataobj)
        assert set(np.unique(index)) == set(values.values())
        medians = {name: np.median(hu[index == value]) for name, value in values.items()}
        assert medians["lung"] < -700 < -300 < medians["soft tissue"] < medians["liver"] + 60
        assert medians["bone"] > 150
        assert medians["airway"] < -500
        around = ndimage.binary_dilation(index == values["nodule"], iterations=1) & (index != values["nodule"])
        assert np.isin(index[around], [values["lung"], values["vessel"]]).any()
