"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.slices.metadata import gan_metadata
from tools.catalogue.stylegan2.entry import OF_NETWORK, StyleGAN2Bundle

PAPERS = (
    "Karras T, Laine S, Aittala M, Hellsten J, Lehtinen J, Aila T. Analyzing and improving the image quality of "
    "StyleGAN. CVPR 2020, arXiv 1912.04958.",
    "Karras T, Aittala M, Hellsten J, Laine S, Lehtinen J, Aila T. Training generative adversarial networks with "
    "limited data. NeurIPS 2020, arXiv 2006.06676.",
)


def metadata(bundle: StyleGAN2Bundle) -> Config:
    return gan_metadata(
        bundle.data,
        bundle.method,
        "a style-based generator, which makes them of a latent vector at once",
        "T. Karras, S. Laine, M. Aittala, J. Hellsten, J. Lehtinen and T. Aila",
        PAPERS,
        OF_NETWORK["latent_dim"],
    )
