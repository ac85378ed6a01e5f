"""One DICOM file as a slice of a volume: its header checked tag by tag, and its pixels; `dicom` stacks slices."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.pixels import get_decoder
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from tools.files import as_text
from tools.io.volume import VOXEL_SIZES, VolumeError

PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # FloatPixelData, DoubleFloatPixelData, PixelData
UNDEFINED_LENGTH = 0xFFFFFFFF  # of compressed pixels
ORTHONORMAL = 1e-2
"""Tolerance by which rows and columns may miss unit length and right angles, which decimals cut short do."""
DESCRIPTION_OF_PIXELS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """What the header of a slice says, checked.

    Attributes:
        file: path of the file.
        header: tags without the pixels.
        uids: PatientID, StudyInstanceUID and SeriesInstanceUID, "" if not given.
        modality: "CT", "MR", ...
        rows: number of pixel rows.
        columns: number of pixel columns.
        position: centre of the first pixel, mm in LPS.
        orientation: [2, 3], unit vectors in LPS along a row and along a column.
        spacing: distance between rows and between columns, mm.
        step: SpacingBetweenSlices or else SliceThickness, mm; None if neither is given.
        echo_time: echo time in ms, None if not given.
        rescale: slope and intercept, None if one of them is not given.
    """

    file: Path
    header: Dataset
    uids: tuple[str, str, str]
    modality: str
    rows: int
    columns: int
    position: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray
    step: float | None
    echo_time: float | None
    rescale: tuple[float, float] | None


def read_slice(file: Path) -> DicomSlice:
    """The header of a slice.

    Raises:
        VolumeError: the file is not DICOM, is not a grey image of one frame with a place in the patient, or has a
            broken tag, which the message names.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that are refused below by name
        try:
            header, pixels = _header(file)
        except InvalidDicomError as error:
            raise VolumeError.of(file, "not DICOM") from error
        except Exception as error:  # pydicom's parser raises many kinds
            raise VolumeError.of(file, f"not DICOM, or damaged ({_short(error)})") from error
        try:
            return _checked(file, header, pixels)
        except VolumeError:
            raise
        except Exception as error:  # so does the conversion of a value, when it is asked for
            raise VolumeError.of(file, f"its header is damaged ({_short(error)})") from error


def read_pixels(item: DicomSlice) -> np.ndarray:
    """The pixels of a slice [x, y], rescaled: int16 where slope and intercept are whole numbers, else float32.

    Compressed pixels for which pydicom has no decoder (JPEG Lossless, JPEG-LS) are decoded by GDCM in SimpleITK.

    Raises:
        VolumeError: the pixels cannot be decoded.
    """
    folder, name = item.file.parent, as_text(item.file.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(item.file)
            stored = (dataset.pixel_array if _pydicom_decodes(dataset) else _decoded_by_gdcm(dataset)).T
    except Exception as error:  # decoders raise many kinds
        raise VolumeError.of(folder, f"the pixels of {name} cannot be decoded ({_short(error, 150)})") from error
    if stored.shape != (item.columns, item.rows):
        found = " x ".join(map(str, stored.shape))
        raise VolumeError.of(folder, f"{name} has {found} pixels, its header says {item.columns} x {item.rows}")
    slope, intercept = item.rescale or (1.0, 0.0)
    values = stored * np.float64(slope) + intercept
    if not (np.abs(values) <= np.finfo(np.float32).max).all():
        raise VolumeError.of(folder, f"{name} has values that are not finite, with the slope {slope:g}")
    limits = np.iinfo(np.int16)
    whole = stored.dtype.kind in "iub" and slope.is_integer() and intercept.is_integer()
    fits = whole and limits.min <= values.min() and values.max() <= limits.max
    return values.astype(np.int16 if fits else np.float32)


def _header(file: Path) -> tuple[Dataset, tuple[int, int] | None]:
    """A header, and of the pixels behind it how many bytes there are said to be, and how many are left in the file."""
    found: list[tuple[int, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag in PIXELS:
            found.append((length, 8 if vr is None else 12))  # the second: bytes of tag, type and length
        return tag in PIXELS

    with open(file, "rb") as opened:
        header = read_partial(opened, at_pixels)
        left = os.fstat(opened.fileno()).st_size - opened.tell()
    return header, (found[0][0], left - found[0][1]) if found else None


def _checked(file: Path, header: Dataset, pixels: tuple[int, int] | None) -> DicomSlice:
    def refuse(reason: str) -> VolumeError:
        return VolumeError.of(file, reason)

    def numbers(name: str, count: int) -> np.ndarray | None:
        """None if the tag is missing or empty."""
        value = header.get(name)
        values = [] if value is None or value == "" else value if _is_several(value) else [value]
        if not len(values):
            return None
        try:
            converted = np.array([float(v) for v in values])
        except (TypeError, ValueError):
            converted = np.array([])
        if len(converted) != count or not np.isfinite(converted).all():
            raise refuse(f"its {name} is {_short(value)!r}, expected {count} number{'s' * (count > 1)}")
        return converted

    def whole(name: str) -> int:
        value = numbers(name, 1)
        if value is None or value[0] < 1 or value[0] % 1:
            raise refuse(f"it has no {name}" if value is None else f"its {name} is {value[0]:g}")
        return int(value[0])

    def distance(name: str) -> float | None:
        value = numbers(name, 1)
        return None if value is None or value[0] == 0 else abs(float(value[0]))  # negative ones count downwards

    colours, frames = numbers("SamplesPerPixel", 1), numbers("NumberOfFrames", 1)
    if colours is not None and colours[0] != 1:
        raise refuse("it is in colour")
    if "PerFrameFunctionalGroupsSequence" in header or (frames is not None and frames[0] > 1):
        count = "several" if frames is None else f"{frames[0]:g}"
        raise refuse(f"it holds {count} frames in one file, which are not read: convert it to NIfTI, as by dcm2niix")
    if "LOCALIZER" in [str(v).upper() for v in header.get("ImageType") or []]:
        raise refuse("it is a localiser")
    position, orientation = numbers("ImagePositionPatient", 3), numbers("ImageOrientationPatient", 6)
    spacing = numbers("PixelSpacing", 2)
    if position is None or orientation is None or spacing is None:
        raise refuse("it has no position, orientation or pixel spacing")
    orientation = orientation.reshape(2, 3)
    if np.abs(orientation @ orientation.T - np.eye(2)).max() > ORTHONORMAL:
        raise refuse(f"its ImageOrientationPatient {orientation.ravel().tolist()} is no pair of directions at 90°")
    low, high = VOXEL_SIZES
    if not ((spacing >= low) & (spacing <= high)).all():
        raise refuse(f"its PixelSpacing is {spacing.tolist()} mm, expected {low:g} to {high:g}")
    rows, columns = whole("Rows"), whole("Columns")
    if pixels is None:
        raise refuse("it has no pixels")
    expected, (length, left) = rows * columns * whole("BitsAllocated") // 8, pixels
    if length != UNDEFINED_LENGTH and not expected <= length <= expected + expected % 2:
        raise refuse(f"it holds {length} bytes of pixels, its header says {expected}")
    if left < length != UNDEFINED_LENGTH and not header.file_meta.TransferSyntaxUID.is_deflated:
        raise refuse(f"it is truncated: {left} of {length} bytes of pixels are there")
    slope, intercept, echo = (numbers(name, 1) for name in ("RescaleSlope", "RescaleIntercept", "EchoTime"))
    if slope is not None and slope[0] == 0:
        raise refuse("its RescaleSlope is 0")
    between = distance("SpacingBetweenSlices")
    return DicomSlice(
        file=file,
        header=header,
        uids=tuple(str(header.get(n) or "") for n in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")),
        modality=str(header.get("Modality") or ""),
        rows=rows,
        columns=columns,
        position=position,
        orientation=orientation / np.linalg.norm(orientation, axis=1, keepdims=True),
        spacing=spacing,
        step=distance("SliceThickness") if between is None else between,
        echo_time=None if echo is None else float(echo[0]),
        rescale=None if slope is None or intercept is None else (float(slope[0]), float(intercept[0])),
    )


def _is_several(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _short(value: object, length: int = 60) -> str:
    """One printable line of what a damaged file holds."""
    return "".join(c if c.isprintable() else "?" for c in str(value))[:length]


def _pydicom_decodes(dataset: FileDataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    return not syntax.is_compressed or get_decoder(syntax).is_available


def _decoded_by_gdcm(dataset: FileDataset) -> np.ndarray:
    """Stored pixels [rows, columns].

    GDCM is given a copy with nothing but the pixels, in a file of a plain name: it would rescale some modalities and
    not others, and ITK ends the process at names that are not UTF-8.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    bare = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    bare.SOPClassUID, bare.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for name in DESCRIPTION_OF_PIXELS:
        if name in dataset:
            bare[name] = dataset[name]
    bare["PixelData"] = dataset["PixelData"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "slice.dcm"
        bare.save_as(file, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(file), imageIO="GDCMImageIO"))[0]
