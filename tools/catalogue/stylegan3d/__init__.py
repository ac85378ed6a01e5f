"""3D-StyleGAN: whole volumes, with labels or without, from a latent vector and styles."""

from __future__ import annotations

from tools.catalogue import volume_maker
from tools.catalogue.hierarchical_gan.volumes import BRAIN_T1
from tools.catalogue.parts import Config
from tools.catalogue.stylegan3d.entry import PAPER, PHANTOM, maker
from tools.catalogue.stylegan3d.metadata import metadata
from tools.catalogue.stylegan3d.options import OPTIONS
from tools.catalogue.stylegan3d.training import train
from tools.catalogue.volume_maker import LatentVolumes, of_cubes, of_labelled, terms

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: LatentVolumes) -> dict[str, Config]:
    making = maker(bundle)
    return {
        "train": train(bundle),
        "inference": volume_maker.inference(bundle, metadata(bundle)["version"], making),
        "evaluate": volume_maker.evaluate(bundle, making),
    }


def facts(bundle: LatentVolumes) -> Config:
    """Return what the README says of this bundle besides its entry's fields."""
    return {"half_size": bundle.grid(bundle.phantom_size)}


BUNDLES = (
    LatentVolumes(
        name="stylegan3d_hippocampus",
        **of_labelled("rflow_hippocampus"),
        image_size=64,
        phantom_size=32,
        phantom={**PHANTOM, "max_epochs": 200, "batch_size": 8, "val_interval": 50},
        paper={**PAPER, "network_width": 64, "max_epochs": 1000, "batch_size": 16, "val_interval": 20},
    ),
    LatentVolumes(
        name="stylegan3d_gsp",
        **of_cubes(BRAIN_T1),
        image_size=128,
        phantom_size=32,
        phantom={**PHANTOM, "max_epochs": 100, "batch_size": 4, "val_interval": 50},
        paper={**PAPER, "network_width": 96, "max_epochs": 600, "batch_size": 8, "val_interval": 10},
    ),
)
