"""Head CT with the five types of intracranial haemorrhage: the RSNA's challenge of 2019, PhysioNet's CT-ICH, and CQ500.

- RSNA: all slices in one folder, `stage_2_train/ID_<9 digits>.dcm`; `stage_2_train.csv` has six rows for each slice,
  `ID_<9 digits>_epidural` and so on. Which slices make a scan is in their headers alone.
- PhysioNet: `ct_scans/049.nii`, `masks/049.nii`; `hemorrhage_diagnosis_raw_ct.csv` has the types of each slice.
- CQ500: `CQ500CT0 CQ500CT0/Unknown Study/CT Plain/CT000000.dcm`; `reads.csv` has what three readers said of each scan.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.datasets.record import Dataset, Images, Labels

TYPES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
"""In the order of RSNA's table."""

SHORT = {"EDH": "epidural", "IPH": "intraparenchymal", "IVH": "intraventricular", "SAH": "subarachnoid"} | {
    "SDH": "subdural"
}
"""CQ500's names."""


def _rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    for path in sorted(folder.rglob(name)):
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)


def rsna_table(folder: Path) -> Mapping[str, Mapping[str, object]]:
    """Types of each slice by its file's name; some rows of the published table come twice."""
    found: dict[str, dict[str, object]] = {}
    for row in _rows(folder, "stage_2_train.csv"):
        name, kind = row["ID"].rsplit("_", 1)
        types = found.setdefault(name, {"findings": ()})
        if kind in TYPES and float(row["Label"]) > 0.5 and kind not in types["findings"]:
            types["findings"] += (kind,)
    return found


def physionet_table(folder: Path) -> Mapping[str, Mapping[str, object]]:
    """Types of each slice of a scan, by the number of the slice from 1."""
    found: dict[str, dict[str, object]] = {}
    for row in _rows(folder, "hemorrhage_diagnosis*.csv"):
        scan = found.setdefault(f"{int(row['PatientNumber']):03d}", {"slice_findings": {}})
        types = tuple(kind for kind in TYPES if float(row[kind.capitalize()] or 0) > 0.5)
        scan["slice_findings"][int(row["SliceNumber"])] = types
    return found


def cq500_table(folder: Path) -> Mapping[str, Mapping[str, object]]:
    """Types of each scan that at least two of the three readers saw, as in the paper."""
    found = {}
    for row in _rows(folder, "reads.csv"):
        votes = {kind: sum(float(row[f"R{reader}:{short}"]) for reader in (1, 2, 3)) for short, kind in SHORT.items()}
        found[row["name"]] = {"findings": tuple(kind for kind in TYPES if votes[kind] >= 2)}
    return found


def cq500_patient(identifier: str) -> str:
    """A patient as the table names him, of the id of a series: `CQ500CT7 CQ500CT7/...` is CQ500-CT-7."""
    return "CQ500-CT-" + identifier.split(" ")[0].removeprefix("CQ500CT")


RSNA_ICH = Dataset(
    name="rsna_ich",
    looks="stage_2_train/ID_0002081b6.dcm and so on with stage_2_train.csv as the RSNA's challenge is published",
    images={"ct": Images(r"(.*/)?stage_2_train/(?P<id>ID_[0-9a-f]{9})", "CT")},
    ids=r"ID_[0-9a-f]{9,10}$",
    unit="slice",
    findings=TYPES,
    table=rsna_table,
    source="RSNA Intracranial Hemorrhage Detection, https://www.kaggle.com/c/rsna-intracranial-hemorrhage-detection",
    files="DICOM, one file a slice",
    reference="Flanders AE et al. Construction of a machine learning dataset through collaboration: the RSNA 2019 "
    "brain CT hemorrhage challenge. Radiol Artif Intell 2(3):e190211, 2020.",
    terms="""\
The RSNA's dataset on intracranial haemorrhage (https://www.kaggle.com/c/rsna-intracranial-hemorrhage-detection) has
752,803 slices of 512 x 512 pixels to train on, from 21,744 examinations, each with the types of haemorrhage that it
shows; for research, under terms that have to be accepted. The scans are not part of this bundle. Read the terms
before you use or share anything that is derived from them, trained models included, and cite:
- Flanders AE, Prevedello LM, Shih G, et al. Construction of a machine learning dataset through collaboration: the
  RSNA 2019 brain CT hemorrhage challenge. Radiol Artif Intell 2(3):e190211, 2020.
""",
)

PHYSIONET_ICH = Dataset(
    name="physionet_ich",
    looks="ct_scans/049.nii, masks/049.nii and so on with hemorrhage_diagnosis_raw_ct.csv as PhysioNet publishes it",
    images={"ct": Images(r"(.*/)?ct_scans/(?P<id>\d{3})", "CT")},
    labels=Labels(r"(.*/)?masks/(?P<id>\d{3})", {"haemorrhage": (1, 255)}),
    ids=r"\d{3}$",
    findings=TYPES,
    table=physionet_table,
    source="CT-ICH 1.3.1, https://doi.org/10.13026/4nae-zg36",
    files="NIfTI",
    reference="Hssayeni MD et al. Intracranial hemorrhage segmentation using a deep convolutional model. Data 5(1):14, "
    "2020.",
    terms="""\
CT-ICH (https://doi.org/10.13026/4nae-zg36) of PhysioNet has head CT of 82 patients with suspected traumatic brain
injury, about 30 slices of 5 mm each, with the outlines of haemorrhage (36 of them have one) and the types in every
slice, under CC BY 4.0. The scans are not part of this bundle. Cite:
- Hssayeni MD, Croock MS, Salman AD, Al-khafaji HF, Yahya ZA, Ghoraani B. Intracranial hemorrhage segmentation using a
  deep convolutional model. Data 5(1):14, 2020.
- Goldberger AL, Amaral LAN, Glass L, et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23):e215-e220,
  2000.
""",
)

CQ500 = Dataset(
    name="cq500",
    looks="CQ500CT0 CQ500CT0/Unknown Study/CT Plain/CT000000.dcm and so on with reads.csv as CQ500 is published",
    images={"ct": Images(r"(.*/)?(?P<id>CQ500CT\d+ CQ500CT\d+/[^/]+/[^/]*(?i:plain)[^/]*)", "CT")},
    ids=r"CQ500CT\d+ ",
    subject=cq500_patient,
    findings=TYPES,
    table=cq500_table,
    source="CQ500, http://headctstudy.qure.ai/dataset",
    files="DICOM",
    reference="Chilamkurthy S et al. Deep learning algorithms for detection of critical findings in head CT scans: a "
    "retrospective study. Lancet 392:2388-2396, 2018.",
    terms="""\
CQ500 (http://headctstudy.qure.ai/dataset) has 491 head CT with what three radiologists read in each, and is published
by qure.ai under CC BY-NC-SA 4.0. The scans are not part of this bundle. Read the licence before you use or share
anything that is derived from them, trained models included, and cite:
- Chilamkurthy S, Ghosh R, Tanamala S, et al. Deep learning algorithms for detection of critical findings in head CT
  scans: a retrospective study. Lancet 392:2388-2396, 2018.
""",
)
