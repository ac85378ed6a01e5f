"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.datasets.record import Dataset

NETWORK = (
    *("volume_size", "network_channels", "num_res_blocks", "patch", "preconditioned", "regions", "num_classes"),
    *("components", "uniform_side"),
)
"""Ids of the network's sizes, and of the times that it was trained for."""

WINDOW = (-1024, 600)
"""HU of -1 and 1."""

FIELD_OF_VIEW = (320.0, 350.0, 350.0)
"""Millimetres of a chest CT, axial first, where the weights know none."""

PHANTOM_SHAPE = (96, 112, 112)
"""Slices, rows and columns of a phantom."""

CONDITIONS = {
    "spacing_tensor": "spacing",
    "top_region_index_tensor": "top_region",
    "bottom_region_index_tensor": "bottom_region",
}
"""What MAISI's U-Net is told of a volume: its argument -> key of a batch."""

KEPT = 32
"""Side in voxels of the mean chest and its components, which have no details."""

TIMES = "$@patch * 2 ** (len(@network_channels) - 1)"
"""Number by which the network's sides are divisible."""

PAPER, PHANTOM = (
    {"image_size": 256, "sizes": [96, 128, 160], "network_channels": [64, 128, 256]},
    {"image_size": 64, "sizes": [32, 48, 64], "network_channels": [32, 64, 128]},
)
"""Sizes with the dataset and with phantoms."""


@dataclass(frozen=True)
class ChestBundle:
    """Chest CT at the size and spacing that are asked for, by rectified flow.

    Attributes:
        name: name of the bundle.
        dataset: record of the dataset.
    """

    name: str
    dataset: Dataset


def network() -> Config:
    """MAISI's U-Net, with attention in its middle block only."""
    return {
        "_target_": "tools.networks.denoisers.PatchUNetMaisi",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 1,
        "patch": "@patch",
        "preconditioned": "@preconditioned",
        "components": "@components",
        "sample_size": [KEPT] * 3,
        "num_channels": "@network_channels",
        "num_res_blocks": "@num_res_blocks",
        "attention_levels": "$[False] * len(@network_channels)",
        "norm_num_groups": 8,
        "num_head_channels": "$@network_channels[-1]",
        "num_class_embeds": "$@num_classes + 1 if @num_classes > 0 else None",
        "include_top_region_index_input": "$@regions > 0",
        "include_bottom_region_index_input": "$@regions > 0",
        "region_numbers": "$4 * @regions",
        "include_spacing_input": True,
        "use_flash_attention": "$torch.device(@device).type == 'cuda'",
    }


def phantoms() -> Config:
    """Phantoms where no data are given, half of them with nodules where that is a class."""
    return {
        "phantoms": {
            "count": 24,
            "seed": 0,
            "shape": list(PHANTOM_SHAPE),
            "nodules": "$'half' if @num_classes > 0 else 'none'",
        },
        "data_dir": "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms' + "
        "('_nodules' if @num_classes > 0 else ''), write_luna16_phantoms, **@phantoms)",
    }


def noise_from_seed(size: str) -> Config:
    return parts.latent_from_seed(f"$[1, *{size}]")


def tell(size: str, **more: str) -> Config:
    """What the network is told of a volume."""
    return {"_target_": "tools.transforms.views.TellViewd", "size": size, **more}


def prepare_noise() -> Config:
    return {"_target_": "tools.engines.generation.PrepareLatents", "conditions": dict(CONDITIONS)}


def cube_dataset(data: str, **more: str) -> Config:
    """Return the dataset of volumes as cubes; ``more`` names a transform that follows."""
    return {"_target_": "tools.data.cubes.cube_dataset", "data": data, "cubes": "@cubes", **more}


def trained(bundle: ChestBundle) -> Config:
    """Return what the weights say, with this bundle's defaults."""
    defaults = {
        "volume_size": [PAPER["image_size"]] * 3,
        "network_channels": PAPER["network_channels"],
        "num_res_blocks": 1,
        "patch": 2,
        "preconditioned": False,
        "components": 0,
        "uniform_side": None,
        "regions": 1,
        "num_classes": 0,
        "window": list(WINDOW),
        "sizes": PAPER["sizes"],
        "data": {"field_of_view_mm": list(FIELD_OF_VIEW)},
    }
    return parts.trained(bundle.name, defaults, [*NETWORK, "window"])
