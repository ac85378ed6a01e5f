"""Datasets of labelled slices, as bundles that generate slices use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tools.catalogue.parts import Config
from tools.datasets.bleedings import RSNA_ICH
from tools.datasets.brats import BRATS
from tools.datasets.decathlon import PANCREAS
from tools.datasets.record import Dataset


@dataclass(frozen=True)
class SliceData:
    """A dataset whose slices are learned: what its record does not say.

    Attributes:
        dataset: record of the dataset.
        record: name of that record, as configs import it.
        what: name of the slices in a sentence, "axial slices of ...".
        title: name of the slices in a bundle's title.
        images: scale by name of each image, see `tools.transforms.channels.Channels`.
        field_of_view: side of the squares in mm; None takes the longer side of each volume's slices.
        extent: millimetres of a generated slice, [thickness, rows, columns], where the weights know none.
        choice: fields of `tools.data.sample_store.SliceChoice`, what a slice must show to be used.
        classes: labels or findings by name of each class, see `tools.data.slice_classes.slice_classes`; none for a
            generator without classes.
        balance: share of samples by the label or finding that they show; none for all slices alike.
        labelled: True for samples with the dataset's labels.
        read_images: scale by name of each image that is read where a sample has none, see `choice` and `body`.
        body: name of a class of a sample without images: all that is brighter than background and of no other class.
        encoding: way in which classes of labels are channels, see `tools.transforms.channels.Channels`.
        phantoms: name of the phantoms that stand in for it.
        write_phantoms: beginning of a call that writes them, the function's name and arguments of its own.
        phantom_options: arguments of it that are options.
    """

    dataset: Dataset
    record: str
    what: str
    title: str
    images: Mapping[str, float | tuple[float, float]]
    field_of_view: float | None
    extent: tuple[float, float, float]
    phantoms: str
    write_phantoms: str
    phantom_options: Mapping[str, object]
    choice: Mapping[str, object] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    balance: Mapping[str, float] = field(default_factory=dict)
    labelled: bool = True
    encoding: str | float = "one_hot"
    read_images: Mapping[str, float | tuple[float, float]] = field(default_factory=dict)
    body: str | None = None

    @property
    def labels(self) -> Config:
        """Value, or values, in files by name of each class."""
        found = dict(self.dataset.classes_of_labels) if self.labelled else {}
        return found | ({} if self.body is None else {self.body: max(found.values()) + 1})

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of a sample's channels."""
        return (*self.images, *(self.labels if self.encoding == "one_hot" else ("label",) * bool(self.labels)))

    @property
    def modality(self) -> str:
        """Kind of the images' voxels, "MR" or "CT"."""
        return next(iter(self.dataset.images.values())).voxels

    @property
    def text(self) -> str:
        """File of `texts` that says what the data are, and how slices are made of them."""
        return f"{self.dataset.name}.md"


TUMOUR = ("tumour core", "oedema", "enhancing tumour")

BRAIN_TUMOUR = SliceData(
    dataset=BRATS,
    record="BRATS",
    what="axial slices of brain MR with a glioma, in four contrasts",
    title="brain tumour MR",
    images={"t1": 99.5, "t1ce": 99.5, "t2": 99.5, "flair": 99.5},
    field_of_view=256.0,
    extent=(1.0, 256.0, 256.0),
    choice={"foreground": "t1", "min_foreground": 0.15},
    classes={"no tumour": (), "tumour": TUMOUR},
    phantoms="brain phantoms with a tumour",
    write_phantoms="write_brats_phantoms",
    phantom_options={"count": 24, "seed": 0, "shape": [52, 80, 80]},
)

BRAIN_LABELS = replace(
    BRAIN_TUMOUR,
    what="label maps of axial slices of brain MR with a glioma",
    title="brain tumour label maps",
    images={},
    read_images={"t1": 99.5},
    body="brain",
    classes={},
)

PANCREAS_TUMOUR = SliceData(
    dataset=PANCREAS,
    record="PANCREAS",
    what="axial slices of abdominal CT with the pancreas and its tumour",
    title="pancreas CT",
    images={"ct": (-160.0, 240.0)},
    field_of_view=None,
    extent=(2.5, 400.0, 400.0),
    choice={"labels": ["pancreas", "pancreas tumour"]},
    classes={"no tumour": (), "tumour": ("pancreas tumour",)},
    balance={"pancreas tumour": 0.5},
    phantoms="abdomen phantoms with a pancreas and its tumour",
    write_phantoms="write_msd_phantoms, task='pancreas'",
    phantom_options={"count": 24, "seed": 0, "shape": [40, 96, 96]},
)

HEAD_BLEEDING = SliceData(
    dataset=RSNA_ICH,
    record="RSNA_ICH",
    what="axial slices of head CT with and without bleeding",
    title="head CT",
    images={"ct": (0.0, 80.0)},  # centre 40, width 80: the window in which brains are read
    field_of_view=None,
    extent=(5.0, 235.0, 235.0),
    choice={"foreground": "ct", "min_foreground": 0.1},
    labelled=False,
    phantoms="head phantoms, half of them with bleeding,",
    write_phantoms="write_rsna_ich_phantoms",
    phantom_options={"count": 16, "seed": 0, "shape": [20, 80, 80]},
)
