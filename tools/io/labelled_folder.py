"""Images with labels in the layout that nnU-Net and MONAI train on, or as DICOM series with segmentations."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tools.files import file_name, whole_file
from tools.io.dicom_seg import write_dicom_seg
from tools.io.dicom_writer import write_dicom_series
from tools.io.nifti import write_nifti
from tools.io.provenance import Record

FORMATS = ("nifti", "dicom")

ENDING = ".nii.gz"


class LabelledFolder:
    """A folder of labelled images.

    As NIfTI: `imagesTr/<case>_0000.nii.gz` and so on, one file per image of a case, `labelsTr/<case>.nii.gz`, and
    `dataset.json` that says what is in it, once to nnU-Net (version 2: channel_names, labels by name) and once to
    readers of the Medical Segmentation Decathlon such as MONAI's `load_decathlon_datalist` (training, a list of images
    and label). As DICOM: `<case>/<image>/*.dcm` in one study, and `<case>/labels.dcm`, a segmentation.

    Several processes or jobs may add cases of different names to one folder; who calls `finish` last writes all that is
    there.

    Args:
        folder: folder of the dataset, made if it does not exist.
        name: name of the dataset.
        images: names of the images of a case, in order, such as ("t1", "flair").
        classes: value by name, with background 0. nnU-Net wants the values 0, 1, 2 and so on.
        modality: "MR" or "CT", of all images.
        layout: "nifti" or "dicom".

    Raises:
        ValueError: another layout, or classes that begin elsewhere than at 0 or leave values out.

    Example::

        classes = {"background": 0, "anterior": 1, "posterior": 2}
        cohort = LabelledFolder("cohort", "Hippocampus", ("t1",), classes, "MR")
        cohort.add("synthetic_00000", [image], label, affine, record)
        cohort.finish()
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        name: str,
        images: Sequence[str],
        classes: Mapping[str, int],
        modality: str,
        layout: str = "nifti",
    ) -> None:
        if layout not in FORMATS:
            raise ValueError(f"layout is {layout!r}, expected one of {', '.join(FORMATS)}")
        if sorted(classes.values()) != list(range(len(classes))) or classes.get("background") != 0:
            raise ValueError(f"classes are {dict(classes)}; expected background 0, and 1, 2 and so on for the others")
        self.folder = Path(folder)
        self.name = name
        self.images = tuple(images)
        self.classes = dict(sorted(classes.items(), key=lambda item: item[1]))
        self.modality = modality
        self.layout = layout

    def add(
        self,
        case: str,
        images: Sequence[np.ndarray],
        label: np.ndarray,
        affine: np.ndarray,
        record: Record,
        uid_seed: str | None = None,
    ) -> None:
        """Writes one case; its label last, for a case without one is not listed.

        Args:
            case: its name, without slashes.
            images: [x, y, z] each, in HU for CT; a slice has z = 1. Whole numbers are written as int16 where they fit.
            label: class indices [x, y, z].
            affine: 4x4, voxel index to millimetres in RAS.
            record: origin of the image, `Provenance(...).record(seed)`.
            uid_seed: UIDs of DICOM follow from it; None takes the case's name with what the record says.

        Raises:
            ValueError: another number of images or shapes that differ, or values in the label that are no class.
        """
        shapes = {image.shape for image in (*images, label)}
        if len(images) != len(self.images) or len(shapes) != 1:
            raise ValueError(
                f"{case}: got {len(images)} images and a label of shapes {sorted(shapes)}, expected {len(self.images)} "
                f"images ({', '.join(self.images)}) and a label of one shape"
            )
        odd = sorted(set(np.unique(label).tolist()) - set(self.classes.values()))
        if odd:
            raise ValueError(f"{case}: the label has values {odd}, expected those of {self.classes}")
        if self.layout == "dicom":
            self._add_dicom(case, images, label, affine, record, uid_seed)
            return
        for number, image in enumerate(images):
            write_nifti(self._image(case, number), _narrow(image), affine, record)
        write_nifti(self.folder / "labelsTr" / file_name(case, ENDING), label.astype(np.uint8), affine, record)

    def finish(self) -> Path | None:
        """Writes `dataset.json` of all cases that are complete; with DICOM there is none."""
        if self.layout == "dicom":
            return None
        cases = sorted(path.name.removesuffix(ENDING) for path in (self.folder / "labelsTr").glob(f"[!.]*{ENDING}"))
        images = range(len(self.images))
        cases = [case for case in cases if all(self._image(case, number).is_file() for number in images)]
        modality = "CT" if self.modality == "CT" else "MRI"
        several = [[f"./imagesTr/{case}_{number:04d}{ENDING}" for number in images] for case in cases]
        content = {
            "name": self.name,
            "description": "synthetic images with labels; the header of every file says what made it",
            "tensorImageSize": "3D",
            # nnU-Net treats a channel called CT as Hounsfield units
            "channel_names": {str(n): "CT" if modality == "CT" else name for n, name in enumerate(self.images)},
            "modality": {str(n): modality for n in images},
            "labels": self.classes,
            "file_ending": ENDING,
            "numTraining": len(cases),
            "numTest": 0,
            "training": [
                {"image": one[0] if len(one) == 1 else one, "label": f"./labelsTr/{case}{ENDING}"}
                for case, one in zip(cases, several, strict=True)
            ],
            "test": [],
        }
        with whole_file(self.folder / "dataset.json") as partial:
            partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
        return self.folder / "dataset.json"

    def _image(self, case: str, number: int) -> Path:
        return self.folder / "imagesTr" / file_name(case, f"_{number:04d}{ENDING}")

    def _add_dicom(
        self,
        case: str,
        images: Sequence[np.ndarray],
        label: np.ndarray,
        affine: np.ndarray,
        record: Record,
        uid_seed: str | None,
    ) -> None:
        seed = uid_seed or json.dumps([case, record], sort_keys=True)
        first = None
        for name, image in zip(self.images, images, strict=True):
            rescale = (1, -1024) if self.modality == "CT" else _rescale(image)
            folder = write_dicom_series(
                self.folder / case / name,
                image,
                affine,
                self.modality,
                description=f"{self.name}: {name}",
                reference=first,
                rescale=rescale,
                patient=case,
                provenance=record,
                uid_seed=f"{seed} {name}",
            )
            first = first or folder
        if label.any():
            write_dicom_seg(self.folder / case / "labels.dcm", label, self.classes, first, record, seed)


def _narrow(image: np.ndarray) -> np.ndarray:
    """int16 where nothing is lost by it, else float32."""
    whole = np.rint(image)
    fits = np.array_equal(whole, image) and abs(whole).max(initial=0) < 2**15
    return whole.astype(np.int16) if fits else image.astype(np.float32)


def _rescale(image: np.ndarray) -> tuple[float, float]:
    """Slope and intercept with which MR fills twelve bits: whole numbers that do so already stay as they are."""
    low, high = float(image.min()), float(image.max())
    if low >= 0 and high < 2**15 and np.array_equal(np.rint(image), image):
        return 1, 0
    slope, intercept = max(high - low, 1e-6) / 4095, low - 1e-6 * (high - low)
    return float(f"{slope:.6g}"), float(f"{intercept:.6g}")  # as short as DICOM's decimal strings
