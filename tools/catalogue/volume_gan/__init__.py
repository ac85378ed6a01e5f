"""GANs of whole volumes that others are compared with: auto-encoding ones (Kwon et al., Xing et al.), WGAN, 3D-GAN."""

from __future__ import annotations

from tools.catalogue import volume_maker
from tools.catalogue.hierarchical_gan.volumes import BRAIN_T1, CHEST_CT, VolumeData
from tools.catalogue.parts import Config
from tools.catalogue.volume_gan.entry import Method, VolumeGANBundle, maker
from tools.catalogue.volume_gan.metadata import metadata
from tools.catalogue.volume_gan.methods import ALPHA_GAN, CCE_GAN, GAN_3D, VAE_GAN, WGAN_GP
from tools.catalogue.volume_gan.options import OPTIONS
from tools.catalogue.volume_gan.reconstruction import reconstruct
from tools.catalogue.volume_gan.training import train
from tools.catalogue.volume_maker import of_cubes, of_labelled, terms

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: VolumeGANBundle) -> dict[str, Config]:
    making = maker(bundle)
    encoding = {"reconstruct": reconstruct(bundle)} if bundle.method.encoder else {}
    return {
        "train": train(bundle),
        "inference": volume_maker.inference(bundle, metadata(bundle)["version"], making),
        **encoding,
        "evaluate": volume_maker.evaluate(bundle, making),
    }


def facts(bundle: VolumeGANBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields."""
    return {
        "method": bundle.method,
        "dataset_size": " x ".join(map(str, bundle.volume_size)),
        "phantom_volume": " x ".join(map(str, bundle.grid(bundle.phantom_size))),
    }


def of_method(method: Method, image_size: int, phantom_size: int, phantom: Config, paper: Config) -> Config:
    """Fields of an entry, with sizes with phantoms and with the dataset: small ones, and those of the published
    networks.
    """
    small = {"latent_dim": 64, "base_channels": 16}
    published = {"latent_dim": method.latent_dim, "base_channels": 64}
    if method.encoder == "variational":
        small["hidden_channels"], published["hidden_channels"] = 256, 2048
    if method.codes:
        small["code_channels"], published["code_channels"] = 256, 4096
    return {
        "method": method,
        "image_size": image_size,
        "phantom_size": phantom_size,
        "phantom": small | {"image_size": phantom_size} | phantom | {"num_workers": 0},
        "paper": published | {"image_size": image_size} | paper | {"num_workers": 2},
    }


def labelled(name: str, method: Method, like: str) -> VolumeGANBundle:
    """An entry with the data of a bundle that makes labelled samples by diffusion."""
    phantom = {"max_epochs": 200, "batch_size": 8, "val_interval": 50}
    paper = {"max_epochs": 400, "batch_size": 8, "val_interval": 20}
    return VolumeGANBundle(name=name, **of_labelled(like), **of_method(method, 64, 32, phantom, paper))


def cubes(name: str, method: Method, data: VolumeData, max_epochs: int, batch_size: int = 4) -> VolumeGANBundle:
    """An entry of whole volumes, of 64 voxels a side with the dataset as in the papers."""
    phantom = {"max_epochs": 100, "batch_size": 4, "val_interval": 50}
    paper = {"max_epochs": max_epochs, "batch_size": batch_size, "val_interval": 5}
    return VolumeGANBundle(name=name, **of_cubes(data), **of_method(method, 64, 32, phantom, paper))


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
