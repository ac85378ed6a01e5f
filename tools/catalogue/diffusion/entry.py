"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.datasets.record import Dataset

NETWORK = ("volume_size", "network_channels", "num_res_blocks", "patch", "preconditioned", "components", "uniform_side")
"""Ids of the network's sizes, and of the times that it was trained for."""

SAMPLE = ("images", "labels")
"""Ids of what its channels are."""

VOLUME_SIZE = "$[3 * @image_size // 4, @image_size, 3 * @image_size // 4]"
"""Slices, rows and columns by the rows: the proportions of a crop around the hippocampus."""

WIDTHS = (32, 64, 128)
"""Widths of the network's levels, of which each but the first halves the volume."""

UNIFORM_SIDE = 8
"""Side in voxels of a volume of which times are uniform."""

STEPS = 30
"""Steps from noise to sample, as MAISI's second version takes."""


@dataclass(frozen=True)
class JointBundle:
    """Images and labels of a dataset together, as channels of one sample, by rectified flow.

    Attributes:
        name: name of the bundle.
        dataset: record of the dataset; it has labels.
        record: name of that record, as configs import it.
        title: name of the volumes in the bundle's title.
        what: name of the volumes in a sentence.
        images: scale by name of each image, see `tools.transforms.channels.Channels`.
        image_size: rows of a volume with the dataset.
        phantom_size: the same with phantoms.
        field_of_view: millimetres, axial first, where the weights know none.
        phantoms: task of the Decathlon whose phantoms stand in for the dataset.
        phantom_shape: slices, rows and columns of a phantom.
    """

    name: str
    dataset: Dataset
    record: str
    title: str
    what: str
    images: Mapping[str, float | tuple[float, float]]
    image_size: int
    phantom_size: int
    field_of_view: tuple[float, float, float]
    phantoms: str
    phantom_shape: tuple[int, int, int]

    @property
    def volume_size(self) -> list[int]:
        """Slices, rows and columns with the dataset."""
        return [3 * self.image_size // 4, self.image_size, 3 * self.image_size // 4]

    @property
    def labels(self) -> Config:
        """Value in files by name of each class."""
        return dict(self.dataset.labels.classes)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of a sample's channels."""
        return (*self.images, *self.labels)

    @property
    def modality(self) -> str:
        """Kind of the images' voxels, "MR" or "CT"."""
        return next(iter(self.dataset.images.values())).voxels


def sample_channels() -> Config:
    """The one description of a sample, which reading, network, objective and writing ask."""
    return {
        "_target_": "tools.transforms.channels.Channels",
        "images": "@images",
        "labels": "@labels",
    }


def network() -> Config:
    """MONAI's U-Net, with attention in its middle block only."""
    return {
        "_target_": "tools.networks.denoisers.PatchUNet",
        "spatial_dims": 3,
        "in_channels": "$@sample_channels.number",
        "out_channels": "$@sample_channels.number",
        "patch": "@patch",
        "preconditioned": "@preconditioned",
        "components": "@components",
        "sample_size": "@volume_size",
        "channels": "@network_channels",
        "num_res_blocks": "@num_res_blocks",
        "attention_levels": "$[False] * len(@network_channels)",
        "norm_num_groups": 8,
        "num_head_channels": "$@network_channels[-1]",
    }


def scheduler(**moved: str) -> Config:
    """The schedule of a family that learns flows alone; ``moved`` says whether its times are."""
    return {"_target_": "tools.engines.schedules.noise_scheduler", "prediction": "flow", **moved}


MOVED = {"uniform_side": "@uniform_side"}
"""Times of samplers; those of a training are uniform."""


def noise_from_seed() -> Config:
    return parts.latent_from_seed("$[@sample_channels.number, *@volume_size]")


def prepare_noise() -> Config:
    """Noise goes in; "label" of a batch is a label map, and no class of a generator."""
    return {"_target_": "tools.engines.generation.PrepareLatents", "class_key": "class"}


def labelled_volumes(data: str) -> Config:
    """A dataset of images with their labels, as networks take them, from the store."""
    return {
        "_target_": "tools.data.volume_samples.VolumeSamples",
        "data": data,
        "transform": "@train#preprocessing",
        "channels": "@sample_channels",
        "store_dir": "@cache_dir",
        "num_workers": "@num_workers",
    }


def trained(bundle: JointBundle, place: bool = False) -> Config:
    """Return what the weights say, with this bundle's defaults; ``place`` adds the extent of the volumes."""
    defaults = {
        "volume_size": bundle.volume_size,
        "network_channels": list(WIDTHS),
        "num_res_blocks": 1,
        "patch": 1,
        "preconditioned": False,
        "components": 0,
        "uniform_side": None,
        "prediction": "flow",
        "images": dict(bundle.images),
        "labels": bundle.labels,
    }
    if place:
        defaults["data"] = {"field_of_view_mm": list(bundle.field_of_view)}
    return parts.trained(bundle.name, defaults, [*NETWORK, "prediction", *SAMPLE])
