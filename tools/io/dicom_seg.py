"""Labels as DICOM segmentations, by highdicom; they name the series that they belong to and lie in its space."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from tools.files import whole_file
from tools.io.provenance import Record, describe_dicom

LESION, ORGAN = codes.cid7150.MorphologicallyAbnormalStructure, codes.cid7150.AnatomicalStructure

CODES = {
    "pancreas": (ORGAN, codes.SCT.Pancreas),
    "liver": (ORGAN, codes.SCT.Liver),
    "spleen": (ORGAN, codes.SCT.Spleen),
    "kidney": (ORGAN, codes.SCT.Kidney),
    "hippocampus": (ORGAN, codes.SCT.Hippocampus),
    "brain": (ORGAN, codes.SCT.Brain),
    "lung": (ORGAN, codes.SCT.Lung),
    "tumour": (LESION, codes.SCT.Neoplasm),
    "tumor": (LESION, codes.SCT.Neoplasm),
    "cancer": (LESION, codes.SCT.Neoplasm),
    "nodule": (LESION, codes.SCT.Nodule),
    "oedema": (LESION, codes.SCT.Edema),
    "edema": (LESION, codes.SCT.Edema),
    "haemorrhage": (LESION, codes.SCT.Hemorrhage),
    "hemorrhage": (LESION, codes.SCT.Hemorrhage),
}
"""SNOMED CT's codes by a word in the name of a class; where several fit, what is abnormal counts."""

SCHEME = "99SYNTHETIC"
"""Coding scheme of names that have no code here; DICOM (PS3.16, 8) wants 99 before private ones."""


def write_dicom_seg(
    path: str | os.PathLike,
    label: np.ndarray,
    classes: Mapping[str, int],
    series: str | os.PathLike,
    provenance: Record,
    uid_seed: str | None = None,
) -> Path:
    """Writes a label map as a binary DICOM segmentation of a series, a segment per class that occurs.

    Args:
        path: name of the file, which appears when it is complete.
        label: whole numbers [x, y, z] on the grid of the series, as `write_dicom_series` took its volume.
        classes: value by name; 0 is background and no segment.
        series: folder with the slices, as `write_dicom_series` wrote them.
        provenance: origin of the label, see `tools.io.provenance`.
        uid_seed: seed of the UIDs; None draws new ones.

    Raises:
        ValueError: another shape than the series has, or no class in it.
    """
    slices = sorted((pydicom.dcmread(file) for file in Path(series).glob("*.dcm")), key=lambda one: one.InstanceNumber)
    shape = (slices[0].Columns, slices[0].Rows, len(slices))
    if label.shape != shape:
        raise ValueError(f"the label has shape {label.shape}, expected that of its series, {shape}")
    there = {name: value for name, value in classes.items() if value and (label == value).any()}
    if not there:
        raise ValueError(f"the label has none of the classes {', '.join(classes)}; DICOM knows no empty segmentation")
    algorithm = hd.AlgorithmIdentificationSequence(
        name=provenance["bundle"], family=codes.cid7162.ArtificialIntelligence, version=provenance["version"]
    )
    segments = [
        hd.seg.SegmentDescription(number, name[:64], *code_of(name), "AUTOMATIC", algorithm)
        for number, name in enumerate(there, start=1)
    ]
    number_of = np.zeros(label.shape, np.uint8)
    for number, value in enumerate(there.values(), start=1):
        number_of[label == value] = number
    segmentation = hd.seg.Segmentation(
        slices,
        np.ascontiguousarray(number_of.T),  # [z, row, column]
        "BINARY",
        segments,
        series_instance_uid=_uid(uid_seed, "segmentation series"),
        series_number=(slices[0].get("SeriesNumber") or 1) + 100,
        sop_instance_uid=_uid(uid_seed, "segmentation"),
        instance_number=1,
        manufacturer="synthetic",
        manufacturer_model_name=provenance["bundle"][:64],
        software_versions=provenance["version"],
        device_serial_number="0",
        content_description="labels that were made together with the images",
        content_label="LABELS",
    )
    describe_dicom(segmentation, provenance)
    segmentation.SyntheticData = "YES"
    with whole_file(path) as partial:
        segmentation.save_as(partial)
    return Path(path)


def code_of(name: str) -> tuple[Code, Code]:
    """Category and type of a class: SNOMED CT's by `CODES`, or its own name in a private scheme."""
    fitting = [code for word, code in CODES.items() if word in name.lower()]
    lesions = [code for code in fitting if code[0] == LESION]
    if fitting:
        return (lesions or fitting)[0]
    return ORGAN, Code(name.upper().replace(" ", "_")[:16], SCHEME, name[:64])


def _uid(seed: str | None, what: str) -> str:
    return hd.UID() if seed is None else pydicom.uid.generate_uid(entropy_srcs=[seed, what])
