"""CHAOS (Kavur et al. 2021): abdominal MR in three contrasts, and CT of other people, as folders of DICOM slices.

It is distributed as `Train_Sets` and `Test_Sets` with

- `MR/<n>/T1DUAL/DICOM_anon/InPhase` and `OutPhase`, `MR/<n>/T2SPIR/DICOM_anon`,
- `CT/<n>/DICOM_anon`.

In `Train_Sets` there is a folder `Ground` beside them, in `T1DUAL` for both phases, with a PNG for each slice: the
liver in CT, and in MR both kidneys and the spleen too.
"""

from tools.datasets.record import Dataset, Images, Labels


def _around(value: int, lowest: int, highest: int) -> tuple[int, ...]:
    """The grey value of an organ, and the others that are taken for it."""
    return value, *(other for other in range(lowest, highest + 1) if other != value)


ORGANS = {
    "liver": _around(63, 55, 70),
    "right kidney": _around(126, 110, 135),
    "left kidney": _around(189, 175, 200),
    "spleen": _around(252, 240, 255),
}
"""Grey values of organs in MR, with the ranges that its authors give."""

T1_LABELS = Labels(r"(\w+_Sets/)?(?P<id>MR/[^/]+)/T1DUAL/(.+/)?Ground", ORGANS, by="slices")
T2_LABELS = Labels(r"(\w+_Sets/)?(?P<id>MR/[^/]+)/T2SPIR/(.+/)?Ground", ORGANS, by="slices")
CT_LABELS = Labels(r"(\w+_Sets/)?(?P<id>CT/[^/]+)/(.+/)?Ground", {"liver": 255}, by="slices")

CHAOS = Dataset(
    name="chaos",
    looks="CHAOS: Train_Sets/MR/<n>/T1DUAL/DICOM_anon/{InPhase,OutPhase} and T2SPIR/DICOM_anon, and "
    "Train_Sets/CT/<n>/DICOM_anon",
    images={
        "in_phase": Images(r"(\w+_Sets/)?(?P<id>MR/[^/]+)/T1DUAL/(.+/)?InPhase(/.+)?", "MR", labels=T1_LABELS),
        "out_phase": Images(r"(\w+_Sets/)?(?P<id>MR/[^/]+)/T1DUAL/(.+/)?OutPhase(/.+)?", "MR", labels=T1_LABELS),
        "t2": Images(r"(\w+_Sets/)?(?P<id>MR/[^/]+)/T2SPIR(/.+)?", "MR", labels=T2_LABELS),
        "ct": Images(r"(\w+_Sets/)?(?P<id>CT/[^/]+)/DICOM_anon(/.+)?", "CT", labels=CT_LABELS),
    },
    ids=r"(MR|CT)/\d+(/\w+_phase)?$",
    one_in=5,
    share_few=True,
    source="CHAOS, https://chaos.grand-challenge.org",
    files="DICOM",
    reference="Kavur AE et al. CHAOS challenge - combined (CT-MR) healthy abdominal organ segmentation. "
    "Med Image Anal 69:101950, 2021.",
    terms="""\
CHAOS (Combined Healthy Abdominal Organ Segmentation, https://doi.org/10.5281/zenodo.3362844) is published under
CC BY-NC-SA 4.0. The scans are not part of this bundle. Read the licence before you use or share anything that is
derived from them, trained models included, and cite:
- Kavur AE, Gezer NS, Baris M, et al. CHAOS Challenge - combined (CT-MR) healthy abdominal organ segmentation. Med
  Image Anal 69:101950, 2021.
- Kavur AE, Selver MA, Dicle O, Baris M, Gezer NS. CHAOS - Combined (CT-MR) Healthy Abdominal Organ Segmentation
  Challenge Data. Zenodo, 2019.
""",
)
