"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.fastgan.entry import OF_NETWORK, PHANTOM_SIZE, FastGANBundle
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.slices.metadata import latent_tensor, made_tensor, slice_words

PAPERS = (
    "Liu B, Zhu Y, Song K, Elgammal A. Towards faster and stabilized GAN training for high-fidelity few-shot image "
    "synthesis. ICLR 2021, arXiv 2101.04775.",
    "Zhao S, Liu Z, Lin J, Zhu JY, Han S. Differentiable augmentation for data-efficient GAN training. NeurIPS 2020, "
    "arXiv 2006.10738.",
)


def metadata(bundle: FastGANBundle) -> Config:
    data = bundle.data
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: training, inference and evaluation of FastGAN on {data.what}"},
        slice_words(
            data,
            "FastGAN",
            "a light generator for small sets, which makes them of a latent vector at once, against a discriminator "
            "that must also draw what it was shown",
            "B. Liu, Y. Zhu, K. Song and A. Elgammal",
            f"latent vector of {OF_NETWORK['latent_dim']} independent standard normal numbers",
            PAPERS,
        ),
        latent_tensor(OF_NETWORK["latent_dim"]),
        made_tensor(data, PHANTOM_SIZE),
        also=("highdicom",),  # of labelled folders
    )
