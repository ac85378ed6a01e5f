"""BraTS, the challenge on gliomas: four co-registered MR contrasts of a brain without its skull, and an annotation.

Until 2021 `BraTS20_Training_001/BraTS20_Training_001_{t1,t1ce,t2,flair,seg}` with the annotation 0, 1, 2, 4
(`Brats18_..` in `HGG` and `LGG`, `BraTS2021_00000` too); since 2023
`BraTS-GLI-00000-000/BraTS-GLI-00000-000-{t1n,t1c,t2w,t2f,seg}` with 3 for 4; the last number tells scans of a patient.
"""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tools.datasets.record import Dataset, Images, Labels

OLD = r"(.*/)?(?P<id>(BraTS|Brats)\d+_\w+)/(?P=id)_"
NEW = r"(.*/)?(?P<id>BraTS-[A-Z]+-\d+-\d+)/(?P=id)-"

GRADES = "name_mapping.csv"
"""Table of BraTS 2020 in which column "Grade" is HGG or LGG."""


def grades(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """The grade of every case by the challenge's table, wherever it lies below a folder; nothing without one."""
    found = {}
    for table in folder.rglob(GRADES):
        with open(table, newline="") as file:
            for row in csv.DictReader(file):
                names = [value for key, value in row.items() if key and key.endswith("subject_ID") and value]
                found |= {name: {"class": row.get("Grade", "")} for name in names}
    return found


def patient(identifier: str) -> str:
    """The patient whose scan it is: the later names end in the time of the scan."""
    return identifier.rsplit("-", 1)[0]


BRATS = Dataset(
    name="brats",
    looks="BraTS20_Training_001/BraTS20_Training_001_{t1,t1ce,t2,flair,seg}.nii.gz and so on as BraTS was published "
    "until 2021",
    images={contrast: Images(OLD + contrast, "MR") for contrast in ("t1", "t1ce", "t2", "flair")},
    labels=Labels(OLD + "seg", {"tumour core": 1, "oedema": 2, "enhancing tumour": 4}),
    ids=r"(BraTS|Brats)\d+_",
    classes=("LGG", "HGG"),
    table=grades,
    source="BraTS 2020, https://www.med.upenn.edu/cbica/brats2020",
    files="NIfTI",
    reference="Menze BH et al. The Multimodal Brain Tumor Image Segmentation Benchmark (BRATS). IEEE Trans Med Imaging "
    "34(10):1993-2024, 2015.",
    terms="""\
BraTS (https://www.med.upenn.edu/cbica/brats2020, and https://www.synapse.org/brats for later years) is given to those
who register, for research; images may not be passed on. BraTS 2020 has 369 patients with annotations to train on: 293
of high grade (HGG), 76 of low grade (LGG), each with T1, T1 after contrast (T1CE), T2 and FLAIR, 240 x 240 x 155 voxels
of 1 mm, without the skull. The volumes are not part of this bundle. Read the terms before you use or share anything
that is derived from them, trained models included, and cite:
- Menze BH, Jakab A, Bauer S, et al. The Multimodal Brain Tumor Image Segmentation Benchmark (BRATS). IEEE Trans Med
  Imaging 34(10):1993-2024, 2015.
- Bakas S, Akbari H, Sotiras A, et al. Advancing The Cancer Genome Atlas glioma MRI collections with expert segmentation
  labels and radiomic features. Sci Data 4:170117, 2017.
- Bakas S, Reyes M, Jakab A, et al. Identifying the best machine learning algorithms for brain tumor segmentation,
  progression assessment, and overall survival prediction in the BRATS challenge. arXiv:1811.02629, 2018.
""",
)

BRATS_2023 = replace(
    BRATS,
    name="brats_2023",
    looks="BraTS-GLI-00000-000/BraTS-GLI-00000-000-{t1n,t1c,t2w,t2f,seg}.nii.gz and so on as BraTS is published since "
    "2023",
    images={
        contrast: Images(NEW + ending, "MR")
        for contrast, ending in (("t1", "t1n"), ("t1ce", "t1c"), ("t2", "t2w"), ("flair", "t2f"))
    },
    labels=Labels(NEW + "seg", {"tumour core": 1, "oedema": 2, "enhancing tumour": 3}),
    ids=r"BraTS-[A-Z]+-\d+-\d+",
    subject=patient,
    classes=(),
    table=None,
    source="BraTS 2023, https://www.synapse.org/brats2023",
)
