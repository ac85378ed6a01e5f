"""Where a synthetic image comes from, in the words of every kind of file: nobody should take one for a patient's."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import monai
import nibabel as nib
import torch
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset

KEY = "provenance"
"""Key of a record in the metadata of a volume (`MetaTensor.meta`), and in a PNG."""

DESCRIPTION_LENGTH = 79
"""Bytes of a NIfTI header's `descrip`, of 80 with the zero at its end."""

Record = Mapping[str, Any]


class Provenance:
    """What makes synthetic images.

    Args:
        bundle: its name.
        version: version of the bundle.
        weights: the file of the network's weights; its SHA-256 is taken when it is first asked for.
    """

    def __init__(self, bundle: str, version: str, weights: str | os.PathLike | None = None) -> None:
        self.bundle = bundle
        self.version = version
        self.weights = weights

    @cached_property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the weights in hexadecimal digits; None where there is no such file, as in an exported network."""
        if self.weights is None or not Path(self.weights).is_file():
            return None
        with open(self.weights, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def record(self, seed: int | None = None) -> dict[str, Any]:
        """Return what is written into the file of an image; ``seed`` is that of the image, None if none was drawn."""
        return {
            "synthetic": True,
            "bundle": self.bundle,
            "version": self.version,
            "weights_sha256": self.weights_sha256,
            "seed": seed,
            "software": {"MONAI": monai.__version__, "PyTorch": str(torch.__version__)},
        }


def description(record: Record) -> str:
    """A record in at most 79 ASCII characters; a name that is too long for that is cut, never what follows it."""
    digest, seed = record["weights_sha256"], record["seed"]
    rest = f" {record['version']}"
    rest += "" if digest is None else f" sha256 {digest[:10]}"
    rest += "" if seed is None else f" seed {seed}"
    text = f"synthetic {record['bundle']}"[: DESCRIPTION_LENGTH - len(rest)] + rest
    return text.encode("ascii", "replace").decode()[:DESCRIPTION_LENGTH]


def describe_nifti(header: nib.Nifti1Header, record: Record) -> None:
    """`descrip`, and the whole record as JSON in an extension of the header (a comment, which any reader skips)."""
    header["descrip"] = description(record).encode()
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", json.dumps(record).encode()))


def describe_dicom(dataset: Dataset, record: Record) -> None:
    """Manufacturer's model name, software versions, and the whole record as JSON in the image's comments."""
    dataset.ManufacturerModelName = record["bundle"][:64]
    dataset.SoftwareVersions = [
        text[:64] for text in (record["version"], *(f"{name} {v}" for name, v in record["software"].items()))
    ]
    dataset.ImageComments = json.dumps(record)


def png_text(record: Record) -> PngInfo:
    """Text chunks of a PNG: a description, and the whole record as JSON."""
    info = PngInfo()
    info.add_text("Description", description(record))
    info.add_text(KEY, json.dumps(record))
    return info
