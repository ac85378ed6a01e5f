"""Progressive GAN of volumes, which grow from 4 voxels a side: whole volumes from a latent vector."""

from __future__ import annotations

from tools.catalogue import volume_maker
from tools.catalogue.hierarchical_gan.volumes import CHEST_CT
from tools.catalogue.parts import Config
from tools.catalogue.progressive3d.entry import PAPER, PHANTOM, maker
from tools.catalogue.progressive3d.metadata import metadata
from tools.catalogue.progressive3d.options import OPTIONS
from tools.catalogue.progressive3d.training import train
from tools.catalogue.volume_maker import LatentVolumes, of_cubes, terms

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
    return {"data": f"/data/{bundle.dataset.name.upper()}"}


BUNDLES = (
    LatentVolumes(
        name="pggan3d_luna16",
        **of_cubes(CHEST_CT),
        image_size=128,
        phantom_size=32,
        phantom={**PHANTOM, "training_images": 4_000, "batch_size": 4, "largest_batch": 16, "val_interval": 50},
        paper={**PAPER, "training_images": 20_000_000, "batch_size": 4, "largest_batch": 128, "val_interval": 50},
    ),
)
