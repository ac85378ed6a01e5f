"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue import parts
from tools.catalogue.parts import Config

CONDITION = ("condition_column", "condition_range")
"""Ids of what the condition is."""

TRAINED = ("image_size", "channels", "window", "field_of_view", *CONDITION)
"""What the weights say of their training."""

PHANTOM = {"image_size": 64, "channels": 8, "condition_column": "ventricles", "condition_range": [0.5, 1.6]}
"""The phantoms' table has the radius of the lateral ventricles, from 0.55 to 1.55 of the reference patient's."""

PAPER = {"image_size": 192, "channels": 32, "condition_column": "age", "condition_range": [18.0, 100.0]}

GSP_FILES = "section_datalist('gsp', @data_dir, '{}')"


@dataclass(frozen=True)
class ConditionBundle:
    """T1-weighted brain MR under a condition.

    Attributes:
        name: name of the bundle.
    """

    name: str


def network() -> Config:
    return {"_target_": "tools.networks.slice_gan.AttentionGenerator", "channels": "@channels"}


def phantoms() -> Config:
    """Phantoms where no data are given."""
    return {
        "phantoms": {"count": 24, "seed": 0, "shape": [52, 62, 48]},
        "data_dir": "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms', write_gsp_phantoms, **@phantoms)",
    }


def inferer() -> Config:
    """Slices one by one; of two channels in, which are modalities to the inferer, one comes out."""
    return {"_target_": "tools.engines.translation.SlabInferer", "slices": 1}


def volumes(data: str) -> Config:
    """A dataset of whole volumes as slices, from the store, with what is asked of them."""
    return {
        "_target_": "Dataset",
        "data": {
            "_target_": "tools.data.volume_samples.VolumeSamples",
            "data": data,
            "transform": "$mr_slices(@image_size, @field_of_view)",
            "channels": None,
            "store_dir": "@cache_dir",
            "num_workers": "@num_workers",
        },
        "transform": "@validate#preprocessing",
    }


def trained(bundle: ConditionBundle, scale: Config | str) -> Config:
    """Return what the weights say, with this bundle's defaults.

    Args:
        bundle: entry.
        scale: sizes where the weights do not say theirs, or an expression for them.
    """
    sizes = {id: scale[id] if isinstance(scale, dict) else f"{scale}['{id}']" for id in PAPER}
    return parts.trained(bundle.name, {**sizes, "window": [0, 1000], "field_of_view": None}, TRAINED)
