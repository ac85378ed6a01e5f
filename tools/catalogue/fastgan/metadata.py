"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.fastgan.entry import OF_NETWORK
from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceBundle
from tools.catalogue.slices.metadata import gan_metadata

PAPERS = (
    "Liu B, Zhu Y, Song K, Elgammal A. Towards faster and stabilized GAN training for high-fidelity few-shot image "
    "synthesis. ICLR 2021, arXiv 2101.04775.",
    "Zhao S, Liu Z, Lin J, Zhu JY, Han S. Differentiable augmentation for data-efficient GAN training. NeurIPS 2020, "
    "arXiv 2006.10738.",
)


def metadata(bundle: SliceBundle) -> Config:
    return gan_metadata(
        bundle.data,
        "FastGAN",
        "a light generator for small sets, which makes them of a latent vector at once, against a discriminator "
        "that must also draw what it was shown",
        "B. Liu, Y. Zhu, K. Song and A. Elgammal",
        PAPERS,
        OF_NETWORK["latent_dim"],
    )
