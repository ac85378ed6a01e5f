"""The Brain Genomics Superstruct Project (Holmes et al. 2015) as published, other folders of T1 volumes, and either
after `preprocess`."""

from __future__ import annotations

import os
import re

from tools.data.sections import is_held_out
from tools.data.volumes import IMAGES, Layout, Volume, split_datalist

SCAN = re.compile(r"(?P<subject>Sub\d+)_Ses\d+_Scan_\d+_(?P<modality>[A-Z]+)\d*")
"""Name of a scan of GSP: anatomical ones are `Sub0001_Ses1_Scan_01_ANAT1`, functional ones `.._Scan_02_BOLD1`."""

BIDS = re.compile(r"(?P<subject>sub-[A-Za-z0-9]+)_(?P<rest>.+)")
"""Name of a file in the Brain Imaging Data Structure; it ends in its modality."""


def subject(identifier: str) -> str:
    """The subject that an id names: GSP's and BIDS' names begin with it, any other volume is a subject of its own."""
    match = SCAN.match(identifier) or BIDS.match(identifier)
    return match["subject"] if match else identifier


def _is_t1(identifier: str) -> bool:
    """Leaves out what GSP and BIDS keep beside the T1 volumes: functional scans, other contrasts, masks."""
    if scan := SCAN.match(identifier):
        return scan["modality"] == "ANAT"
    return BIDS.match(identifier) is None or identifier.endswith("_T1w")


GSP = Layout(
    "Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1.nii.gz and so on as GSP is published",
    roles=IMAGES | {"t1", "t1w", "mr", "mri", "brain"},
    is_wanted=_is_t1,
)


def gsp_datalist(dataset_dir: str | os.PathLike, section: str) -> list[dict[str, str]]:
    """MONAI datalist of one section of a dataset: `[{"image": path, "id": id}, ...]`, sorted by id.

    Reads GSP as published (`Sub<n>_Ses<m>/Sub<n>_Ses<m>_Scan_<k>_ANAT<i>.nii.gz`; its functional scans are skipped),
    BIDS (`*_T1w`), a folder of one's own (.nii, .nii.gz, .mha, .mhd, folders of DICOM slices, in subfolders too), and
    what `python -m tools preprocess --kind t1` made of any of them.

    One subject in ten is for validation, with all of its sessions and scans, by a hash of the subject's name: adding a
    volume never moves another. If fewer than two volumes are, as happens in small folders, all volumes are validated
    on, with a warning.

    Volumes whose header or file size is wrong are left out with a warning that names them.

    Args:
        dataset_dir: the folder.
        section: "training" or "validation".

    Raises:
        FileNotFoundError: there is no such folder, or no volume in it.
        VolumeError: no volume of the section can be used, or two have the same id.
        ValueError: `section` is neither, or nothing is left to train on.
    """

    def is_validation(volume: Volume) -> bool:
        return is_held_out(subject(volume.id), one_in=10)

    return split_datalist(dataset_dir, section, GSP, is_validation, "one subject in ten is, by a hash of its name")
