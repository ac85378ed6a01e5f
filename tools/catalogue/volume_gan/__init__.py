"""GANs of whole volumes that others are compared with: auto-encoding ones (Kwon et al., Xing et al.), WGAN, 3D-GAN."""

from __future__ import annotations

from dataclasses import replace

from tools.catalogue import diffusion
from tools.catalogue.hierarchical_gan.volumes import BRAIN_T1, CHEST_CT, VolumeData
from tools.catalogue.parts import Config
from tools.catalogue.terms import PHANTOMS, data_license
from tools.catalogue.volume_gan.entry import Method, VolumeGANBundle
from tools.catalogue.volume_gan.inference import evaluate, inference, reconstruct
from tools.catalogue.volume_gan.metadata import metadata
from tools.catalogue.volume_gan.methods import ALPHA_GAN, CCE_GAN, GAN_3D, VAE_GAN, WGAN_GP
from tools.catalogue.volume_gan.options import OPTIONS
from tools.catalogue.volume_gan.training import train
from tools.catalogue.volume_samples import Cubes, Labelled

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: VolumeGANBundle) -> dict[str, Config]:
    encoding = {"reconstruct": reconstruct(bundle)} if bundle.method.encoder else {}
    return {"train": train(bundle), "inference": inference(bundle), **encoding, "evaluate": evaluate(bundle)}


def facts(bundle: VolumeGANBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields."""
    return {"method": bundle.method, "dataset_size": " x ".join(map(str, bundle.volume_size))}


def terms(bundle: VolumeGANBundle) -> str:
    return data_license(bundle.dataset.terms, PHANTOMS)


def scales(method: Method, phantom: Config, paper: Config) -> Config:
    """Sizes with phantoms and with the dataset: those of the published networks, and small ones."""
    small = {"latent_dim": 64, "base_channels": 16}
    published = {"latent_dim": method.latent_dim, "base_channels": 64}
    if method.encoder == "variational":
        small["hidden_channels"], published["hidden_channels"] = 256, 2048
    if method.codes:
        small["code_channels"], published["code_channels"] = 256, 4096
    return {"phantom": small | phantom, "paper": published | paper}


def labelled(name: str, method: Method, like: str, **own: object) -> VolumeGANBundle:
    """An entry with the data of a bundle that makes labelled samples by diffusion."""
    entry = replace(next(one for one in diffusion.BUNDLES if one.name == like), name=name)
    rows = entry.phantom_size
    return VolumeGANBundle(
        name,
        method,
        Labelled(entry),
        dataset=entry.dataset,
        title=entry.title,
        what=entry.what,
        image_size=entry.image_size,
        volume_size=entry.volume_size,
        phantom_size=[3 * rows // 4, rows, 3 * rows // 4],
        field_of_view=entry.field_of_view,
        scales=scales(
            method,
            {"image_size": rows, "max_epochs": 200, "batch_size": 8, "val_interval": 50, "num_workers": 0},
            {"image_size": entry.image_size, "max_epochs": 400, "batch_size": 8, "val_interval": 20, "num_workers": 2},
        ),
        **own,
    )


def cubes(name: str, method: Method, data: VolumeData, max_epochs: int, batch_size: int = 4) -> VolumeGANBundle:
    """An entry of whole volumes, of 64 voxels a side with the dataset as in the papers."""
    return VolumeGANBundle(
        name,
        method,
        Cubes(data),
        dataset=data.dataset,
        title=data.title,
        what=data.what,
        image_size=64,
        volume_size=[64] * 3,
        phantom_size=[32] * 3,
        field_of_view=data.field_of_view,
        scales=scales(
            method,
            {"image_size": 32, "max_epochs": 100, "batch_size": 4, "val_interval": 50, "num_workers": 0},
            {"image_size": 64, "max_epochs": max_epochs, "batch_size": batch_size, "val_interval": 5, "num_workers": 2},
        ),
    )


BUNDLES = (
    labelled("alpha_gan_hippocampus", ALPHA_GAN, like="rflow_hippocampus"),
    # epochs of batches of LUNA16's 800 and GSP's 1,400 training volumes: the iterations that the released code names
    cubes("wgan_gp_luna16", WGAN_GP, CHEST_CT, max_epochs=60),
    cubes("vae_gan_luna16", VAE_GAN, CHEST_CT, max_epochs=100),
    cubes("alpha_gan_luna16", ALPHA_GAN, CHEST_CT, max_epochs=60),
    cubes("alpha_gan_gsp", ALPHA_GAN, BRAIN_T1, max_epochs=34),
    cubes("cce_gan_luna16", CCE_GAN, CHEST_CT, max_epochs=500),
    cubes("gan3d_luna16", GAN_3D, CHEST_CT, max_epochs=100, batch_size=16),
)
