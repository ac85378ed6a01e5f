"""Labelled datasets in their published layouts: what is recognised, which files belong together, what they say."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch

from tests.real import REAL, needs_real
from tools.data.cases import case_datalist, find_cases, recognise
from tools.data.phantoms.brats import write_brats_phantoms
from tools.data.phantoms.cq500 import write_cq500_phantoms
from tools.data.phantoms.physionet_ich import write_physionet_ich_phantoms
from tools.data.phantoms.rsna_ich import write_rsna_ich_phantoms
from tools.data.sample_store import SampleStore
from tools.data.scans import scan_datalist
from tools.datasets.amos import AMOS, ORGANS
from tools.datasets.bleedings import CQ500, PHYSIONET_ICH, RSNA_ICH
from tools.datasets.brats import BRATS, BRATS_2023
from tools.datasets.decathlon import HIPPOCAMPUS, described
from tools.datasets.pancreas_ct import PANCREAS_CT
from tools.io.dicom import read_dicom_series
from tools.io.dicom_scan import read_scan
from tools.io.dicom_writer import write_dicom_series
from tools.io.labelled_folder import LabelledFolder
from tools.io.volume import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.samples import sample_slices

AFFINE = np.diag([-1.0, -1, 2, 1])


def volume(path, shape=(6, 5, 4), seed=0, label=False):
    """A NIfTI file of noise, or of a label map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(seed).integers(0, 3 if label else 900, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, AFFINE), path)
    return voxels


def test_brats_under_its_older_names(tmp_path):
    root = tmp_path / "MICCAI_BraTS2020_TrainingData"
    for number in (1, 2, 3):
        name = f"BraTS20_Training_{number:03d}"
        for ending in ("t1", "t1ce", "t2", "flair", "seg"):
            volume(root / name / f"{name}_{ending}.nii.gz", seed=number, label=ending == "seg")
    with open(root / "name_mapping.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Grade", "BraTS_2017_subject_ID", "BraTS_2020_subject_ID"])
        rows.writerows([["HGG", "NA", "BraTS20_Training_001"], ["LGG", "NA", "BraTS20_Training_002"]])
    assert recognise(tmp_path) is BRATS
    first, second, third = find_cases(BRATS, tmp_path)
    assert sorted(first.images) == ["flair", "t1", "t1ce", "t2"]
    assert first.label.endswith("BraTS20_Training_001_seg.nii.gz")
    assert [case.class_name for case in (first, second, third)] == ["HGG", "LGG", None]
    assert first.subject == "BraTS20_Training_001"
    volume(tmp_path / "old" / "HGG" / "Brats18_2013_2_1" / "Brats18_2013_2_1_t1.nii.gz")
    assert recognise(tmp_path / "old") is BRATS


def test_brats_under_its_later_names(tmp_path):
    for name in ("BraTS-GLI-00003-000", "BraTS-GLI-00003-001"):
        for ending in ("t1n", "t1c", "t2w", "t2f", "seg"):
            volume(tmp_path / name / f"{name}-{ending}.nii.gz", label=ending == "seg")
    assert recognise(tmp_path) is BRATS_2023
    first, second = find_cases(BRATS_2023, tmp_path)
    assert first.images["t1ce"].endswith("BraTS-GLI-00003-000-t1c.nii.gz")
    assert first.subject == second.subject == "BraTS-GLI-00003"  # one patient, twice
    assert BRATS_2023.labels.classes["enhancing tumour"] == 3


def test_phantoms_stand_in_for_brats(tmp_path):
    write_brats_phantoms(tmp_path / "p", 4, shape=(26, 40, 40), progress=False)
    assert recognise(tmp_path / "p") is BRATS
    items = case_datalist(BRATS, tmp_path / "p", "training", ["t1ce", "t1", "flair", "t2"], labelled=True)
    channels = Channels(dict.fromkeys(["t1ce", "t1", "flair", "t2"], 99.5), BRATS.labels.classes, encoding=40)
    store = SampleStore(items, sample_slices(channels, 32, 256), channels, None)
    sample = store[int(store.pixels(["oedema"]).argmax())]
    joined = channels.join(sample["image"][None], sample["label"][None], sample["known"][None])
    assert joined.shape == (1, 5, 32, 32)
    there = sample["label"].unique().tolist()
    assert len(there) > 2
    assert joined[0, 4].unique().tolist() == pytest.approx([(0, 1, 2, 4)[k] * 40 / 127.5 - 1 for k in there], abs=1e-6)


def test_the_decathlon_says_what_it_holds(tmp_path):
    volume(tmp_path / "imagesTr" / "BRATS_001.nii.gz", (6, 5, 4, 2))
    volume(tmp_path / "labelsTr" / "BRATS_001.nii.gz", label=True)
    said = {
        "name": "BRATS",
        "modality": {"0": "FLAIR", "1": "T1w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor"},
        "licence": "CC-BY-SA 4.0",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(said))
    record = recognise(tmp_path)
    assert (record.name, record.labels.classes) == ("BRATS", {"edema": 1, "non-enhancing tumor": 2})
    assert "CC-BY-SA 4.0" in record.terms
    (case,) = find_cases(record, tmp_path)
    assert [path.rsplit("/", 1)[1] for path in (case.images["flair"], case.images["t1w"])] == [
        "BRATS_001.nii.gz#channel=0",
        "BRATS_001.nii.gz#channel=1",
    ]
    channels = Channels({"flair": 99.5, "t1w": 99.5}, record.labels.classes)
    items = case_datalist(record, tmp_path, "training", labelled=True)
    made = sample_slices(channels, 8)(items[0])
    assert made["image"].shape == (2, 4, 8, 8)


def test_what_this_project_writes_is_read(tmp_path):
    cohort = LabelledFolder(tmp_path, "Mine", ("t1", "flair"), {"background": 0, "lesion": 1}, "MR")
    record = {"bundle": "b", "version": "1", "weights_sha256": None, "seed": 1, "software": {}}
    label = np.zeros((6, 5, 4), np.uint8)
    label[2:4, 2:4, 1] = 1
    for name in ("one", "two_0001"):  # a name that ends as a channel does
        cohort.add(name, [label * 9.0, label + 1.0], label, AFFINE, record)
    cohort.finish()
    known = recognise(tmp_path)
    assert (known.name, known.labels.classes) == ("Mine", {"lesion": 1})
    cases = find_cases(known, tmp_path)
    assert [case.id for case in cases] == ["one", "two_0001"]
    assert all(sorted(case.images) == ["flair", "t1"] and case.label for case in cases)


@pytest.mark.parametrize(
    "said", ["[]", "{", '{"modality": {"0": "CT"}}', '{"modality": {"0": "CT"}, "labels": {"whole": [1, 2]}}']
)
def test_a_description_that_is_none_is_refused(tmp_path, said):
    (tmp_path / "dataset.json").write_text(said)
    with pytest.raises(ValueError, match="is no description of a dataset"):
        described(tmp_path)


def test_amos_has_ct_and_mr(tmp_path):
    for number in (4, 500, 507):
        volume(tmp_path / "amos22" / "imagesTr" / f"amos_{number:04d}.nii.gz")
        volume(tmp_path / "amos22" / "labelsTr" / f"amos_{number:04d}.nii.gz", label=True)
    volume(tmp_path / "amos22" / "imagesVa" / "amos_0008.nii.gz")
    assert recognise(tmp_path) is AMOS
    cases = find_cases(AMOS, tmp_path)
    assert {case.id: [*case.images] for case in cases} == {
        "amos_0004": ["ct"],
        "amos_0008": ["ct"],
        "amos_0500": ["ct"],
        "amos_0507": ["mr"],
    }
    assert [case.label is not None for case in cases] == [True, False, True, True]
    assert (len(ORGANS), AMOS.labels.classes["pancreas"], AMOS.labels.classes["liver"]) == (15, 10, 6)


def test_pancreas_ct_lies_on_the_voxels_of_its_series(tmp_path):
    rng = np.random.default_rng(0)
    hu = rng.integers(-200, 300, (8, 8, 5)).astype(float)
    inside = np.zeros(hu.shape, np.uint8)
    inside[2:5, 1:3, 3] = 1  # [column, row, slice from the feet]
    series = tmp_path / "Pancreas-CT" / "PANCREAS_0007" / "11-24-2015-Pancreas" / "Pancreas-63502"
    write_dicom_series(series, hu, AFFINE, "CT")
    (tmp_path / "labels").mkdir()
    # its header, an identity, would put it to the other side of the body and upside down
    nib.save(nib.Nifti1Image(inside, np.eye(4)), tmp_path / "labels" / "label0007.nii.gz")
    assert recognise(tmp_path) is PANCREAS_CT
    (item,) = case_datalist(PANCREAS_CT, tmp_path, "training", labelled=True)
    channels = Channels({"ct": [-160, 240]}, {"pancreas": 1, "pancreas tumour": 2})
    made = sample_slices(channels, 8)(item)
    assert torch.equal(made["label"][0], torch.from_numpy(inside.T.copy()))
    assert made["known"].tolist() == [True, False]  # nobody looked for tumours here
    expected = np.clip((hu.T + 160) / 200 - 1, -1, 1)
    assert made["image"][0].numpy() == pytest.approx(expected, abs=1e-5)


@needs_real
def test_the_real_hippocampus_set():
    folder = REAL / "hippocampus"
    assert recognise(folder) is HIPPOCAMPUS
    cases = find_cases(HIPPOCAMPUS, folder)
    assert len(cases) == 230
    assert all(case.label for case in cases)
    said = described(folder)
    assert said.labels.classes == HIPPOCAMPUS.labels.classes


HEADS = {"count": 3, "shape": (16, 40, 40), "progress": False}
CT = Channels({"ct": [0, 80]})


def test_physionet_says_what_every_slice_shows(tmp_path):
    write_physionet_ich_phantoms(tmp_path, **HEADS)
    assert recognise(tmp_path) is PHYSIONET_ICH
    items = case_datalist(PHYSIONET_ICH, tmp_path, "training", labelled=True, findings=True)
    channels = Channels({"ct": [0, 80]}, PHYSIONET_ICH.labels.classes)
    store = SampleStore(items, sample_slices(channels, 40, modality="CT"), channels, None)
    shown = store.classes()
    assert shown.shape == (len(store), 5)
    assert np.array_equal(shown.any(1), store.pixels(["haemorrhage"]) > 0)  # the table and the masks agree
    assert 0 < shown.any(1).sum() < len(store)


def test_rsna_slices_are_put_together_by_their_headers(tmp_path):
    write_rsna_ich_phantoms(tmp_path, **HEADS)
    assert recognise(tmp_path) is RSNA_ICH
    items = [item for part in ("training", "validation") for item in scan_datalist(RSNA_ICH, tmp_path, part)]
    headers = {path.name: pydicom.dcmread(path) for path in (tmp_path / "stage_2_train").iterdir()}
    assert {item["subject"] for item in items} == {header.PatientID for header in headers.values()}
    item = items[0]
    assert len(item["slices"]) == 16
    made = sample_slices(CT, 40, modality="CT")(item)
    order = sorted((Path(p).name for p in item["slices"]), key=lambda n: headers[n].ImagePositionPatient[2])
    with open(tmp_path / "stage_2_train.csv") as file:
        said = {row["ID"]: int(row["Label"]) for row in csv.DictReader(file)}
    for number in (0, 5, 15):
        name, header = order[number], headers[order[number]]
        hu = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
        expected = np.clip(hu / 40 - 1, -1, 1)
        assert made["image"][0, number].numpy() == pytest.approx(expected, abs=1e-5)
        assert made["class"][number].tolist() == [said[f"{name[:-4]}_{kind}"] for kind in RSNA_ICH.findings]


def test_cq500_says_what_two_readers_saw(tmp_path):
    write_cq500_phantoms(tmp_path, **HEADS)
    with open(tmp_path / "reads.csv") as file:
        rows = list(csv.DictReader(file))
    for reader, said in (("R1", "1"), ("R2", "0"), ("R3", "1")):
        rows[0][f"{reader}:SAH"] = said
    rows[1].update({"R1:EDH": "1", "R2:EDH": "0", "R3:EDH": "0"})
    with open(tmp_path / "reads.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert recognise(tmp_path) is CQ500
    items = {item["subject"]: item for item in case_datalist(CQ500, tmp_path, "training", findings=True)}
    seen = {subject: dict(zip(CQ500.findings, item["class"][0], strict=True)) for subject, item in items.items()}
    if "CQ500-CT-0" in seen:
        assert seen["CQ500-CT-0"]["subarachnoid"] == 1
    if "CQ500-CT-1" in seen:
        assert seen["CQ500-CT-1"]["epidural"] == 0
    made = sample_slices(CT, 40, modality="CT")(next(iter(items.values())))
    assert made["class"].shape == (16, 5)


def test_tilted_slices_are_read_where_volumes_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    hu = rng.integers(0, 80, (8, 8, 6)).astype(float)
    folder = write_dicom_series(tmp_path / "scan", hu, AFFINE, "CT")
    files = sorted(folder.iterdir())
    for number, file in enumerate(files):
        header = pydicom.dcmread(file)
        x, y, z = header.ImagePositionPatient
        header.ImagePositionPatient = [x, y + 0.9 * number, z + (0.7 if number == 3 else 0)]
        header.save_as(file)
    with pytest.raises(VolumeError):
        read_dicom_series(folder)
    files[4].write_bytes(files[4].read_bytes()[:900])
    with pytest.warns(UserWarning, match=r"1 slice\(s\) left out"):
        voxels, affine, kept = read_scan(files)
    assert np.array_equal(voxels, hu[:, :, [0, 1, 2, 3, 5]])
    assert [path.name for path in kept] == [files[i].name for i in (0, 1, 2, 3, 5)]
    first = pydicom.dcmread(files[0]).ImagePositionPatient
    assert affine[:3, 3] == pytest.approx([-first[0], -first[1], first[2]])
