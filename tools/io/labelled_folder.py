"""Images with labels in the layout that nnU-Net and MONAI train on, as NIfTI or PNG, or as DICOM with segmentations."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from tools.errors import check_choice
from tools.files import file_name, whole_file
from tools.io.dicom_seg import write_dicom_seg
from tools.io.dicom_writer import write_dicom_series
from tools.io.nifti import write_nifti
from tools.io.provenance import Record, png_text
from tools.io.readers import volume_suffix

FORMATS = {"nifti": ".nii.gz", "png": ".png", "dicom": ".dcm"}
"""Layouts, and how their files end."""

DESCRIPTION = "dataset.json"
"""File that says what is in such a folder."""

GREY_VALUES = "grey_values"
"""Entry of it that readers of other projects pass over: values that stand for black and white, by an image's number."""

HU_OF_ZERO = -1024
"""What 0 in a PNG of CT stands for, as in most files of DICOM."""


class LabelledFolder:
    """A folder of labelled images.

    As NIfTI: `imagesTr/<case>_0000.nii.gz` and so on, one file per image of a case, `labelsTr/<case>.nii.gz`, and
    `dataset.json` that says what is in it, once to nnU-Net (version 2: channel_names, labels by name) and once to
    readers of the Medical Segmentation Decathlon such as MONAI's `load_decathlon_datalist` (training, a list of images
    and label). As PNG, for slices: the same with `.png`, as nnU-Net reads it; images of 16 bits, of CT HU + 1024, rows
    from front to back and columns from the patient's right to left. As DICOM: `<case>/<image>/*.dcm` in one study, and
    `<case>/labels.dcm`, a segmentation.

    Several processes or jobs may add cases of different names to one folder; who calls `finish` last writes all that is
    there.

    Args:
        folder: folder of the dataset, made if it does not exist.
        name: name of the dataset.
        images: names of the images of a case, in order, such as ("t1", "flair"); none for label maps alone.
        classes: value by name, with background 0; background alone for a folder of images without labels. nnU-Net wants
            the values 0, 1, 2 and so on.
        modality: "MR" or "CT", of all images.
        layout: "nifti", "png" or "dicom".
        grey_values: values that stand for black and white by name of an image, where all cases share them although the
            image has no unit: a scan of MR is scaled by its own brightest voxels, what a network made is scaled
            already, and to do it again would change it. `dataset.json` says them.

    Raises:
        ValueError: another layout, or classes that begin elsewhere than at 0 or leave values out; with DICOM, no image
            that a segmentation could refer to.

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
        grey_values: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        check_choice("layout", layout, FORMATS)
        if sorted(classes.values()) != list(range(len(classes))) or classes.get("background") != 0:
            raise ValueError(f"classes are {dict(classes)}; expected background 0, and 1, 2 and so on for the others")
        if layout == "dicom" and not images:
            raise ValueError("a segmentation in DICOM refers to an image, and there is none; take nifti or png")
        self.folder = Path(folder)
        self.name = name
        self.images = tuple(images)
        self.classes = dict(sorted(classes.items(), key=lambda item: item[1]))
        self.modality = modality
        self.layout = layout
        self.ending = FORMATS[layout]
        self.grey_values = dict(grey_values or {})

    def add(
        self,
        case: str,
        images: Sequence[np.ndarray],
        label: np.ndarray | None,
        affine: np.ndarray,
        record: Record,
        uid_seed: str | None = None,
    ) -> None:
        """Writes one case; its label last, for a case without one is not listed.

        Args:
            case: its name, without slashes.
            images: [x, y, z] each, in HU for CT; a slice has z = 1. Whole numbers are written as int16 where they fit.
            label: values of classes [x, y, z]; None in a folder without labels.
            affine: 4x4, voxel index to millimetres in RAS.
            record: origin of the image, `Provenance(...).record(seed)`.
            uid_seed: UIDs of DICOM follow from it; None takes the case's name with what the record says.

        Raises:
            ValueError: another number of images or shapes that differ, a label that is missing or too many, or values
                in it that are no class; for PNG several slices, or values that do not fit into 16 bits.
        """
        labelled = len(self.classes) > 1
        if labelled == (label is None):
            raise ValueError(f"{case}: got {'no' if labelled else 'a'} label for a folder of classes {[*self.classes]}")
        shapes = {image.shape for image in (*images, *([label] if labelled else []))}
        if len(images) != len(self.images) or len(shapes) != 1:
            raise ValueError(
                f"{case}: got {len(images)} images and a label of shapes {sorted(shapes)}, expected {len(self.images)} "
                f"images ({', '.join(self.images)}) and a label of one shape"
            )
        odd = sorted(set(np.unique(label).tolist()) - set(self.classes.values())) if labelled else []
        if odd:
            raise ValueError(f"{case}: the label has values {odd}, expected those of {self.classes}")
        if self.layout == "dicom":
            self._add_dicom(case, images, label, affine, record, uid_seed)
            return
        write = write_nifti if self.layout == "nifti" else write_slice
        offset = HU_OF_ZERO if self.layout == "png" and self.modality == "CT" else 0
        for number, image in enumerate(images):
            write(self._image(case, number), _narrow(image - offset), affine, record)
        if labelled:
            write(self._label(case), label.astype(np.uint8), affine, record)

    def has(self, case: str) -> bool:
        """Whether a case is there, whole; of DICOM, which is many files, that is not known and never so."""
        if self.layout == "dicom":
            return False
        last = self._label(case) if len(self.classes) > 1 else self._image(case, len(self.images) - 1)
        return last.is_file()

    def finish(self) -> Path | None:
        """Writes `dataset.json` of all cases that are complete; with DICOM there is none."""
        if self.layout == "dicom":
            return None
        labelled, images = len(self.classes) > 1, range(len(self.images))
        where, ending = ("labelsTr", self.ending) if labelled else ("imagesTr", f"_0000{self.ending}")
        cases = sorted(path.name.removesuffix(ending) for path in (self.folder / where).glob(f"[!.]*{ending}"))
        cases = [case for case in cases if all(self._image(case, number).is_file() for number in images)]
        modality = "CT" if self.modality == "CT" else "MRI"
        grey = {str(n): list(self.grey_values[name]) for n, name in enumerate(self.images) if name in self.grey_values}
        several = [[f"./imagesTr/{case}_{number:04d}{self.ending}" for number in images] for case in cases]
        content = {
            "name": self.name,
            "description": f"synthetic images{' with labels' * labelled}; the header of every file says what made it",
            "tensorImageSize": "2D" if self.layout == "png" else "3D",
            # nnU-Net treats a channel called CT as Hounsfield units
            "channel_names": {str(n): "CT" if modality == "CT" else name for n, name in enumerate(self.images)},
            "modality": {str(n): modality for n in images},
            **({GREY_VALUES: grey} if grey else {}),
            "labels": self.classes,
            "file_ending": self.ending,
            "numTraining": len(cases),
            "numTest": 0,
            "training": [
                ({"image": one[0] if len(one) == 1 else one} if one else {})
                | ({"label": f"./labelsTr/{case}{self.ending}"} if labelled else {})
                for case, one in zip(cases, several, strict=True)
            ],
            "test": [],
        }
        with whole_file(self.folder / DESCRIPTION) as partial:
            partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
        return self.folder / DESCRIPTION

    def _image(self, case: str, number: int) -> Path:
        return self.folder / "imagesTr" / file_name(case, f"_{number:04d}{self.ending}")

    def _label(self, case: str) -> Path:
        return self.folder / "labelsTr" / file_name(case, self.ending)

    def _add_dicom(
        self,
        case: str,
        images: Sequence[np.ndarray],
        label: np.ndarray | None,
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
        if label is not None and label.any():
            write_dicom_seg(self.folder / case / "labels.dcm", label, self.classes, first, record, seed)


def write_slice(path: str | os.PathLike, image: np.ndarray, affine: np.ndarray, record: Record) -> None:
    """Writes an axial slice as a PNG, of 8 bits if its numbers are bytes and else of 16, seen from the feet.

    Args:
        path: name of the file, which appears when it is complete.
        image: [x, y, 1], whole numbers from 0 to 65535.
        affine: 4x4, voxel index to millimetres in RAS.
        record: origin of the image, which the file says in its text chunks.

    Raises:
        ValueError: several slices, or values that do not fit.
    """
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(("L", "P", "S")))
    turned = nib.orientations.apply_orientation(image, turn)
    if turned.shape[2] != 1 or not 0 <= turned.min() <= turned.max() < 2**16:
        raise ValueError(
            f"{path}: got {turned.shape[2]} slices with values from {turned.min():g} to {turned.max():g}; a PNG holds "
            "one slice of numbers from 0 to 65535"
        )
    pixels = turned[..., 0].T
    pixels = pixels if pixels.dtype == np.uint8 else np.rint(pixels).astype(np.uint16)
    with whole_file(path) as partial:
        Image.fromarray(np.ascontiguousarray(pixels)).save(partial, format="PNG", pnginfo=png_text(record))


def list_only(path: str | os.PathLike, kept: Callable[[str], bool]) -> None:
    """Leave the cases out of the list of a `dataset.json` that are no longer kept; where there is no file, do nothing.

    Args:
        path: path of the file.
        kept: function that tells from the name of a case whether it stays.
    """
    path = Path(path)
    if not path.is_file():
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content.get("training"), list):
        content["training"] = [one for one in content["training"] if kept(_case(one["label"]))]
        content["numTraining"] = len(content["training"])
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _case(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[: -len(volume_suffix(name) or Path(name).suffix) or None]


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
