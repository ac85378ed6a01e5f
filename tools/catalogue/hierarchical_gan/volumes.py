"""Datasets of whole volumes, as bundles that generate volumes use them."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue.datasets import GSP, LUNA16, Published
from tools.catalogue.parts import Config


@dataclass(frozen=True)
class VolumeData:
    """A dataset of whole volumes, as these bundles use it.

    Attributes:
        published: the dataset.
        what: name of the volumes, in the plural of the sentence "generates whole ... volumes".
        title: the same in a bundle's name.
        short: the same in the changelog.
        phantoms: name of the phantoms that stand in for it.
        classes: difference between the classes of phantoms.
        write_phantoms: function that writes them.
        phantom_shape: slices, rows and columns of a phantom.
        options: ids of the config that only this dataset has.
        datalist: function that lists a part, and what it takes besides folder and part.
        preprocessing: expression for a folder of volumes, which may be preprocessed already.
        original_preprocessing: expression for volumes as published.
        window: grey values or HU of -1 and 1.
        field_of_view: millimetres, axial first, where the weights know none.
        intensities: the format of the values, as MONAI's metadata names it.
        made: description of a generated volume, with its values.
        text: file of `texts` that says what the data are, and how they are preprocessed.
    """

    published: Published
    what: str
    title: str
    short: str
    phantoms: str
    classes: str
    write_phantoms: str
    phantom_shape: tuple[int, int, int]
    options: Config
    datalist: str
    preprocessing: str
    original_preprocessing: str
    window: tuple[int, int]
    field_of_view: tuple[float, float, float]
    intensities: str
    made: str
    text: str

    def files(self, part: str) -> str:
        function, *more = self.datalist.split(", ")
        return f"${function}({', '.join(['@data_dir', repr(part), *more])})"


CHEST_CT = VolumeData(
    published=LUNA16,
    what="chest CT",
    title="chest CT",
    short="chest CT",
    phantoms="thorax phantoms",
    classes="nodules",
    write_phantoms="write_luna16_phantoms",
    phantom_shape=(96, 112, 112),
    options={"validation_subsets": [9]},
    datalist="luna16_datalist, @validation_subsets",
    preprocessing="$image_transforms(@data_dir, @image_size, @window)",
    original_preprocessing="$ct_preprocessing(@image_size, @window)",
    window=(-1024, 600),
    field_of_view=(320.0, 350.0, 350.0),
    intensities="hounsfield",
    made="chest CT volume, intensities in [-1, 1] stand for [-1024, 600] HU",
    text="luna16.md",
)

BRAIN_T1 = VolumeData(
    published=GSP,
    what="T1-weighted brain MR",
    title="brain T1",
    short="T1 brains",
    phantoms="brain phantoms",
    classes="lesions",
    write_phantoms="write_gsp_phantoms",
    phantom_shape=(104, 124, 96),
    options={},
    datalist="gsp_datalist",
    preprocessing="$t1_transforms(@data_dir, @image_size, @window)",
    original_preprocessing="$t1_preprocessing(@image_size)",
    window=(0, 1000),
    field_of_view=(200.0, 200.0, 200.0),
    intensities="magnitude",
    made="T1-weighted brain volume without background, intensities in [-1, 1] stand for [0, 1000], where 1000 is a "
    "bright voxel of the head",
    text="gsp.md",
)
