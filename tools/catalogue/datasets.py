"""Published datasets as bundles speak of them: their terms, and how to cite them."""

from __future__ import annotations

from dataclasses import dataclass

PHANTOMS = "The phantoms that the bundle makes where no data are given are computed by its own code (Apache-2.0)."


@dataclass(frozen=True)
class Published:
    """A dataset that its publisher distributes.

    Attributes:
        source: name and address, for metadata.
        files: the format of its files, for metadata.
        reference: the paper that describes it, for metadata.
        terms: text on its licence and what to cite, for `docs/data_license.txt`.
    """

    source: str
    files: str
    reference: str
    terms: str


def data_license(*paragraphs: str) -> str:
    """`docs/data_license.txt`: numbered paragraphs, indented where they have several lines."""
    numbered = []
    for number, paragraph in zip(("i.", "ii.", "iii.", "iv."), paragraphs, strict=False):
        first, *rest = paragraph.strip().splitlines()
        numbered += [f"{number} {first}", *(f"   {line}" for line in rest)]
    return "\n".join(numbered) + "\n"


LUNA16 = Published(
    source="LUNA16, https://luna16.grand-challenge.org (a subset of LIDC-IDRI)",
    files="MetaImage",
    reference="Setio AAA et al. Validation, comparison, and combination of algorithms for automatic detection of "
    "pulmonary nodules in computed tomography images: the LUNA16 challenge. Med Image Anal 42:1-13, 2017.",
    terms="""\
LUNA16 (https://luna16.grand-challenge.org) is a subset of LIDC-IDRI (https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX),
published by The Cancer Imaging Archive under the Creative Commons Attribution 3.0 Unported licence (CC BY 3.0,
https://creativecommons.org/licenses/by/3.0/). The volumes are not part of this bundle. Read the terms on both sites
before you use them, and cite:
- Armato SG III et al. The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI): a
  completed reference database of lung nodules on CT scans. Med Phys 38(2):915-931, 2011.
- Setio AAA et al. Validation, comparison, and combination of algorithms for automatic detection of pulmonary nodules
  in computed tomography images: the LUNA16 challenge. Med Image Anal 42:1-13, 2017.
""",
)

GSP = Published(
    source="Brain Genomics Superstruct Project (GSP), https://doi.org/10.7910/DVN/25833",
    files="NIfTI",
    reference="Holmes AJ et al. Brain Genomics Superstruct Project initial data release with structural, functional, "
    "and behavioral measures. Sci Data 2:150031, 2015.",
    terms="""\
The Brain Genomics Superstruct Project (GSP, https://doi.org/10.7910/DVN/25833) is distributed by Harvard Dataverse under
its own terms of use, which have to be accepted before the data can be downloaded. The volumes are not part of this
bundle. Read the terms before you use or share anything that is derived from the data, trained models included, and cite:
- Holmes AJ, Hollinshead MO, O'Keefe TM, Petrov VI, Fariello GR, Wald LL, Fischl B, Rosen BR, Mair RW, Roffman JL,
  Smoller JW, Buckner RL. Brain Genomics Superstruct Project initial data release with structural, functional, and
  behavioral measures. Sci Data 2:150031, 2015.
""",  # noqa: E501
)

CHAOS = Published(
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
