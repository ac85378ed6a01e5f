"""``python -m tools phantom``: write phantoms to disk and a picture of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PIL import Image

from tools.data.phantoms import abdomen, abdomen_patients, brain, brats, head_ct, hippocampus, thorax
from tools.data.phantoms.amos import write_amos_phantoms
from tools.data.phantoms.brats import write_brats_phantoms
from tools.data.phantoms.chaos import write_chaos_phantoms
from tools.data.phantoms.cq500 import write_cq500_phantoms
from tools.data.phantoms.gsp import write_gsp_phantoms
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.phantoms.msd import write_msd_phantoms
from tools.data.phantoms.pancreas_ct import write_pancreas_ct_phantoms
from tools.data.phantoms.physionet_ich import write_physionet_ich_phantoms
from tools.data.phantoms.rsna_ich import write_rsna_ich_phantoms
from tools.transforms.outlines import fullest_slice, outlined
from tools.transforms.planes import PLANES, grey, pixel_size, resized, section
from tools.transforms.window import CT_WINDOW, Window

SOFT_WINDOW = Window(-160, 240)
"""HU that tell the organs of the abdomen apart."""

GAP = 4  # pixels between pictures

BRAIN_WINDOW = Window(0, 80)
"""HU that tell the parts of the brain apart."""


@dataclass(frozen=True)
class Phantoms:
    """What stands in for a dataset.

    Attributes:
        anatomy: part of the body.
        write: function of a folder, count, seed, shape and ``fixed``.
        shape: slices, rows and columns unless others are asked for.
        count: number of volumes, likewise.
        what: name of the volumes, in words.
        where: place of the volumes for validation, in words.
        label: meaning of class 1, in words.
        window: window of the preview's CT.
        fixed: further arguments.
    """

    anatomy: str
    write: Callable[..., Path]
    shape: tuple[int, int, int]
    what: str
    where: str
    label: str
    count: int = 24
    window: Window | None = None
    fixed: tuple[tuple[str, Any], ...] = ()


DATASETS = {
    "luna16": Phantoms(
        "thorax",
        write_luna16_phantoms,
        thorax.DEFAULT_SHAPE,
        "chest CT phantoms",
        "(subset9) ",
        "with lung nodules",
        window=CT_WINDOW,
    ),
    "gsp": Phantoms("brain", write_gsp_phantoms, brain.DEFAULT_SHAPE, "brain T1 phantoms", "", "with lesions"),
    "chaos": Phantoms(
        "abdomen",
        write_chaos_phantoms,
        abdomen.DEFAULT_SHAPE,
        "abdomen studies, MR or CT,",
        "(Test_Sets) ",
        "with a fatty liver",
        window=SOFT_WINDOW,
    ),
    "brats": Phantoms(
        "brain", write_brats_phantoms, brats.DEFAULT_SHAPE, "brains with a tumour", "", "of high grade", 8
    ),
    "brats_2023": Phantoms(
        "brain",
        write_brats_phantoms,
        brats.DEFAULT_SHAPE,
        "brains with a tumour",
        "",
        "of high grade",
        8,
        fixed=(("names", 2023),),
    ),
    **{
        name: Phantoms("head", write, head_ct.DEFAULT_SHAPE, "head CT", "", "with bleeding", 12, BRAIN_WINDOW)
        for name, write in (
            ("rsna_ich", write_rsna_ich_phantoms),
            ("physionet_ich", write_physionet_ich_phantoms),
            ("cq500", write_cq500_phantoms),
        )
    },
    **{
        name: Phantoms(
            "abdomen", write, abdomen_patients.DEFAULT_SHAPE, "abdomen CT", "", "with tumours", 8, SOFT_WINDOW
        )
        for name, write in (
            ("msd_liver", partial(write_msd_phantoms, task="liver")),
            ("msd_pancreas", partial(write_msd_phantoms, task="pancreas")),
            ("pancreas_ct", write_pancreas_ct_phantoms),
            ("amos22", write_amos_phantoms),
        )
    },
    "msd_hippocampus": Phantoms(
        "brain",
        partial(write_msd_phantoms, task="hippocampus"),
        hippocampus.DEFAULT_SHAPE,
        "MR of the hippocampus",
        "",
        "ill",
        8,
    ),
}
"""Name of a dataset, as `python -m tools phantom` takes it -> its phantoms."""

DEFAULTS = {"thorax": "luna16", "brain": "gsp", "abdomen": "chaos"}
"""Anatomy -> the dataset whose layout it is written in unless another is named."""

OPTIONS = {"nodules": ("luna16",), "lesions": ("gsp",), "contrast": ("chaos", "msd_liver", "msd_pancreas")}
"""Which dataset has what."""


def phantom(
    output_dir: str,
    anatomy: str | None = None,
    count: int | None = None,
    seed: int = 0,
    nodules: str | None = None,
    image_size: int | Sequence[int] | None = None,
    lesions: str | None = None,
    contrast: bool | None = None,
    dataset: str | None = None,
) -> None:
    """Write synthetic patients in the layout of the dataset they stand in for, and preview.png beside them.

    Thorax: CT in HU like LUNA16's (subset0..9/<id>.mhd and .zraw, annotations.csv); subset9 is for validation.
    Brain: T1-weighted MR of heads like GSP's (Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1.nii.gz and so on).
    Abdomen: MR and CT like CHAOS's, as DICOM (Train_Sets/MR/<n>/T1DUAL/DICOM_anon/InPhase and so on). MR and CT are of
    different bodies, but in Test_Sets of the same, and Truth has the CT of these on the MR's grid.
    With pathology and exact labels, by the name of the dataset: brats and brats_2023; rsna_ich,
    physionet_ich and cq500 (head CT with bleeding); msd_liver, msd_pancreas, pancreas_ct and amos22 (CT of the
    abdomen); msd_hippocampus (MR). docs/phantoms.md shows them.
    All come with labels.csv, the class of each volume (1 with nodules, lesions or a fatty liver, 0 without), and
    phantom.json, how they were made. A folder that already holds what is asked for is left as it is.

    Args:
        output_dir: folder to create.
        anatomy: part of the body; "thorax" (the default), "brain" or "abdomen".
        count: number of volumes, or of bodies for the abdomen; at least 2, for the abdomen 4. By default 24, of those
            with pathology 8.
        seed: other seeds give other patients.
        nodules: volumes of the thorax that have lung nodules: "none" (the default), "half" or "all".
        image_size: slices, rows and columns, or one number for all three; (96, 112, 112) for thorax,
            (104, 124, 96) for brain and (28, 96, 96) for the MR of the abdomen by default, (155, 240, 240) for brats,
            (32, 192, 192) for head CT,
            (80, 160, 160) for CT of the abdomen and (36, 50, 34) for the hippocampus.
        lesions: volumes of the brain that have lesions in the white matter: "none" (the default), "half" or "all".
        contrast: True for CT of the abdomen in the portal venous phase (the default), False for CT without contrast
            agent.
        dataset: dataset whose layout is written, instead of ``anatomy``: "luna16", "gsp" or "chaos", which are those of
            the three anatomies, or one with pathology.
    """
    name = _dataset(anatomy, dataset)
    kind = DATASETS[name]
    extra = dict(kind.fixed)
    for option, value in (("nodules", nodules), ("lesions", lesions), ("contrast", contrast)):
        if value is None:
            continue
        if name not in OPTIONS[option]:
            article = "an" if kind.anatomy == "abdomen" else "a"
            of = f"{article} {kind.anatomy}" if name == DEFAULTS.get(kind.anatomy) else name
            raise ValueError(f"{option} is {value!r}, but {of} has none; leave it out")
        extra[option] = value
    size = kind.shape if image_size is None else image_size
    shape = [size] * 3 if isinstance(size, int) else list(size)
    folder = kind.write(output_dir, count=kind.count if count is None else count, seed=seed, shape=shape, **extra)
    volumes = json.loads((folder / "phantom.json").read_text())["volumes"]
    picture = folder / "preview.png"
    if "annotation" in volumes[0]:
        ill = sorted(volumes, key=lambda v: not v["label"])  # in their order, but first those with something to see
        labelled_preview(folder, ill[:6], kind.window).save(picture)
    else:
        preview(_shown(folder, volumes, kind)).save(picture)
    validation = sum(v.get("subset") == 9 or v.get("section") == "validation" for v in volumes)
    affected = sum(v["label"] for v in volumes)
    print(f"{len(volumes)} {kind.what} of {' x '.join(map(str, shape))} voxels in {folder}")
    print(f"  {len(volumes) - validation} to train on, {validation} {kind.where}to validate; {affected} {kind.label}")
    print(f"  preview: {picture}")


def _dataset(anatomy: str | None, dataset: str | None) -> str:
    """The dataset that is asked for, by its name or by an anatomy."""
    if anatomy is not None and anatomy not in DEFAULTS:
        raise ValueError(f'anatomy must be "thorax", "brain" or "abdomen"; got {anatomy!r}')
    if dataset is None:
        return DEFAULTS[anatomy or "thorax"]
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}; got {dataset!r}")
    if anatomy is not None and anatomy != DATASETS[dataset].anatomy:
        raise ValueError(f"{dataset} shows a {DATASETS[dataset].anatomy}, not a {anatomy}; leave anatomy out")
    return dataset


def _shown(folder: Path, volumes: Sequence[dict], kind: Phantoms) -> list[tuple[Path, Window | None]]:
    """Return what to preview: the first four volumes, or all images of the abdomen that was held out last."""
    if kind.anatomy != "abdomen":
        return [(folder / v["image"], kind.window) for v in volumes[:4]]
    images = {name: path for v in volumes[-2:] for name, path in v["images"].items()}
    return [(folder / path, kind.window if name == "ct" else None) for name, path in images.items()]


def preview(volumes: Sequence[tuple[Path, Window | None]], height: int = 240) -> Image.Image:
    """A row per volume: axial slices low, in the middle and high, then a coronal and a sagittal one, in true shape.

    Args:
        volumes: files that SimpleITK reads, or folders of DICOM slices, each with the values that are black and white;
            None for 0 and the volume's 99th percentile.
        height: height of a row, in pixels.
    """
    rows = [_row(_read(path), window, height) for path, window in volumes]
    width = max(row.shape[1] for row in rows)
    return Image.fromarray(np.concatenate([np.pad(row, ((0, GAP), (0, width - row.shape[1]))) for row in rows]))


def labelled_preview(
    folder: Path, volumes: Sequence[dict], window: Window | None = None, height: int = 240
) -> Image.Image:
    """A row per volume: of each image the axial slice with the most of what is labelled, then the same slice and a
    coronal one of the last image with the labels' outlines.

    Args:
        folder: folder of the phantoms.
        volumes: entries of ``phantom.json``, with ``images`` and ``annotation``, which lie on one grid.
        window: window of the images.
        height: height of a row, in pixels.
    """
    rows = []
    for volume in volumes:
        annotation = _read(folder / volume["annotation"])
        images = [sitk.GetArrayFromImage(_read(folder / path)) for path in volume["images"].values()]
        labels = sitk.GetArrayFromImage(annotation)
        if window is None:  # MR of an organ alone, with nothing around it
            box = tuple(slice(w.min(), w.max() + 1) for w in np.nonzero(images[0]))
            images, labels = [image[box] for image in images], labels[box]
        rarest = labels == labels.max()  # the tumour, where a label of the organ is less
        axial, coronal = fullest_slice(rarest, 0), fullest_slice(rarest, 1)
        spacing = tuple(reversed(annotation.GetSpacing()))
        cells = []
        for voxels in images:
            shown = Window(0, float(np.percentile(voxels, 99.7))) if window is None else window
            picture = _picture(voxels, "axial", axial, spacing, shown, height)
            cells.append(np.repeat(picture[..., None], 3, axis=2))
        cells.append(outlined(picture, section(labels, "axial", axial)))
        tall = _picture(voxels, "coronal", coronal, spacing, shown, height)
        cells.append(outlined(tall, section(labels, "coronal", coronal)))
        rows.append(np.concatenate([np.pad(cell, ((0, GAP), (0, GAP), (0, 0))) for cell in cells], axis=1))
    widest = max(row.shape[1] for row in rows)
    return Image.fromarray(np.concatenate([np.pad(r, ((0, 0), (0, widest - r.shape[1]), (0, 0))) for r in rows]))


def _read(path: Path) -> sitk.Image:
    # the names of the phantoms' slices are in the order of their positions
    return sitk.ReadImage([str(p) for p in sorted(path.iterdir())] if path.is_dir() else str(path))


def _row(image: sitk.Image, window: Window | None, height: int) -> np.ndarray:
    volume = sitk.GetArrayFromImage(image)
    spacing = tuple(reversed(image.GetSpacing()))
    if window is None:
        window = Window(0, float(np.percentile(volume, 99)))
    cells = []
    for plane, place in (("axial", 0.25), ("axial", 0.5), ("axial", 0.75), ("coronal", 0.5), ("sagittal", 0.5)):
        index = int(volume.shape[PLANES.index(plane)] * place)
        cells.append(np.pad(_picture(volume, plane, index, spacing, window, height), ((0, 0), (0, GAP))))
    return np.concatenate(cells, axis=1)


def _picture(
    volume: np.ndarray, plane: str, index: int, spacing: Sequence[float], window: Window, height: int
) -> np.ndarray:
    """A slice in true shape, uint8 of so many rows."""
    pixels = section(volume, plane, index)
    tall, wide = (n * mm for n, mm in zip(pixels.shape, pixel_size(plane, spacing), strict=True))
    return resized(grey(pixels, window), height, height * wide / tall)
