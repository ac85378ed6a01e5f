"""Datasets of whole volumes, as bundles that generate volumes use them."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue.parts import Config
from tools.datasets.gsp import GSP
from tools.datasets.luna16 import LUNA16
from tools.datasets.record import Dataset

ORIGINAL = {"ct": "$ct_preprocessing(@image_size, @window)", "t1": "$t1_preprocessing(@image_size)"}
"""Modality -> expression of the preprocessing of volumes as published."""

INTENSITIES = {"CT": "hounsfield", "MR": "magnitude"}
"""Kind of voxels -> the format of their values, as MONAI's metadata names it."""


@dataclass(frozen=True)
class VolumeData:
    """A dataset of whole volumes, as these bundles use it: what its record does not say.

    Attributes:
        dataset: record of the dataset; it has one modality.
        what: name of the volumes, in the plural of the sentence "generates whole ... volumes".
        title: the same in a bundle's name.
        short: the same in the changelog.
        phantoms: name of the phantoms that stand in for it.
        classes: difference between the classes of phantoms.
        write_phantoms: function that writes them.
        phantom_shape: slices, rows and columns of a phantom.
        window: grey values or HU of -1 and 1.
        field_of_view: millimetres, axial first, where the weights know none.
        made: description of a generated volume, with its values.
    """

    dataset: Dataset
    what: str
    title: str
    short: str
    phantoms: str
    classes: str
    write_phantoms: str
    phantom_shape: tuple[int, int, int]
    window: tuple[int, int]
    field_of_view: tuple[float, float, float]
    made: str

    @property
    def options(self) -> Config:
        """Option that chooses among the publisher's folders, where there are any."""
        folds = self.dataset.validation_folds
        return {f"validation_{self.dataset.folds}": list(folds)} if folds else {}

    @property
    def original_preprocessing(self) -> str:
        """Expression for volumes as published."""
        return ORIGINAL[self.dataset.modality]

    @property
    def intensities(self) -> str:
        """The format of the values, as MONAI's metadata names it."""
        return INTENSITIES[self.dataset.images[self.dataset.modality].voxels]

    @property
    def text(self) -> str:
        """File of `texts` that says what the data are, and how they are preprocessed."""
        return f"{self.dataset.name}.md"

    def files(self, part: str) -> str:
        given = [repr(self.dataset.name), "@data_dir", repr(part), *(f"@{option}" for option in self.options)]
        return f"$section_datalist({', '.join(given)})"


CHEST_CT = VolumeData(
    dataset=LUNA16,
    what="chest CT",
    title="chest CT",
    short="chest CT",
    phantoms="thorax phantoms",
    classes="nodules",
    write_phantoms="write_luna16_phantoms",
    phantom_shape=(96, 112, 112),
    window=(-1024, 600),
    field_of_view=(320.0, 350.0, 350.0),
    made="chest CT volume, intensities in [-1, 1] stand for [-1024, 600] HU",
)

BRAIN_T1 = VolumeData(
    dataset=GSP,
    what="T1-weighted brain MR",
    title="brain T1",
    short="T1 brains",
    phantoms="brain phantoms",
    classes="lesions",
    write_phantoms="write_gsp_phantoms",
    phantom_shape=(104, 124, 96),
    window=(0, 1000),
    field_of_view=(200.0, 200.0, 200.0),
    made="T1-weighted brain volume without background, intensities in [-1, 1] stand for [0, 1000], where 1000 is a "
    "bright voxel of the head",
)
