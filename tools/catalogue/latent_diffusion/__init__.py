"""Latent diffusion: volumes, with labels or without, from latents of an autoencoder."""

from __future__ import annotations

from dataclasses import replace

from tools.catalogue import diffusion
from tools.catalogue.hierarchical_gan.volumes import BRAIN_T1, CHEST_CT, VolumeData
from tools.catalogue.latent_diffusion.entry import LatentBundle
from tools.catalogue.latent_diffusion.inference import evaluate, inference
from tools.catalogue.latent_diffusion.metadata import metadata
from tools.catalogue.latent_diffusion.options import OPTIONS
from tools.catalogue.latent_diffusion.training import train
from tools.catalogue.parts import Config
from tools.catalogue.terms import PHANTOMS, data_license
from tools.catalogue.volume_samples import Cubes, Labelled

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: LatentBundle) -> dict[str, Config]:
    return {"train": train(bundle), "inference": inference(bundle), "evaluate": evaluate(bundle)}


PARAMETERS = {1: "2,929,057", 3: "2,932,515"}
"""Parameters of the autoencoder with the dataset, by the channels of a sample."""


def facts(bundle: LatentBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields."""
    return {"autoencoder_parameters": PARAMETERS[1 + len(bundle.labels)]}


def terms(bundle: LatentBundle) -> str:
    return data_license(bundle.dataset.terms, PHANTOMS)


def labelled(name: str, like: str, **own: object) -> LatentBundle:
    """An entry with the data of a bundle that makes labelled samples in voxels."""
    entry = replace(next(one for one in diffusion.BUNDLES if one.name == like), name=name)
    return LatentBundle(
        name,
        Labelled(entry),
        dataset=entry.dataset,
        title=entry.title,
        what=entry.what,
        image_size=entry.image_size,
        volume_size=entry.volume_size,
        phantom_size=entry.phantom_size,
        field_of_view=entry.field_of_view,
        **own,
    )


def cubes(name: str, data: VolumeData, **own: object) -> LatentBundle:
    """An entry of whole volumes, of 128 voxels a side with the dataset."""
    return LatentBundle(
        name,
        Cubes(data),
        dataset=data.dataset,
        title=data.title,
        what=data.what,
        image_size=128,
        volume_size=[128] * 3,
        phantom_size=32,
        batch_size=4,
        field_of_view=data.field_of_view,
        one_by_one=True,
        **own,
    )


BUNDLES = (
    labelled("ldm_hippocampus", like="rflow_hippocampus", autoencoder_epochs=100, max_epochs=400, batch_size=4),
    cubes("ldm_gsp", BRAIN_T1, autoencoder_epochs=100, max_epochs=300),
    cubes("ldm_luna16", CHEST_CT, autoencoder_epochs=150, max_epochs=500),
)
