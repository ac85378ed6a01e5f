"""The Brain Genomics Superstruct Project (Holmes et al. 2015): T1 of 1,570 subjects, some of whom came twice.

Names as in the Brain Imaging Data Structure (BIDS) are known as well.
"""

import re

from tools.datasets.record import IMAGE_ROLES, Dataset, Images

SCAN = re.compile(r"(?P<subject>Sub\d+)_Ses\d+_Scan_\d+_(?P<modality>[A-Z]+)\d*")
"""Name of a scan of GSP: anatomical ones are `Sub0001_Ses1_Scan_01_ANAT1`, functional ones `.._Scan_02_BOLD1`."""

BIDS = re.compile(r"(?P<subject>sub-[A-Za-z0-9]+)_(?P<rest>.+)")
"""Name of a file in the Brain Imaging Data Structure; it ends in its modality."""


def subject(identifier: str) -> str:
    """The subject that an id names: GSP's and BIDS' names begin with it, any other volume is a subject of its own."""
    match = SCAN.match(identifier) or BIDS.match(identifier)
    return match["subject"] if match else identifier


def is_t1(identifier: str) -> bool:
    """Leaves out what GSP and BIDS keep beside the T1 volumes: functional scans, other contrasts, masks."""
    if scan := SCAN.match(identifier):
        return scan["modality"] == "ANAT"
    return BIDS.match(identifier) is None or identifier.endswith("_T1w")


GSP = Dataset(
    name="gsp",
    looks="Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1.nii.gz and so on as GSP is published",
    images={"t1": Images(r"(.*/)?(?P<id>Sub\d+_Ses\d+_Scan_\d+_ANAT\d*)", voxels="MR")},
    ids=r"Sub\d+_Ses\d+_Scan_\d+_",
    subject=subject,
    roles=IMAGE_ROLES | {"t1", "t1w", "mr", "mri", "brain"},
    is_image=is_t1,
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
