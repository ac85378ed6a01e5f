"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceBundle
from tools.catalogue.slices.metadata import gan_metadata
from tools.catalogue.stylegan3.entry import OF_NETWORK

PAPERS = (
    "Karras T, Aittala M, Laine S, Härkönen E, Hellsten J, Lehtinen J, Aila T. Alias-free generative adversarial "
    "networks. NeurIPS 2021, arXiv 2106.12423.",
)


def metadata(bundle: SliceBundle) -> Config:
    return gan_metadata(
        bundle.data,
        "StyleGAN3",
        "a style-based generator without aliasing, which makes them of a latent vector at once, and whose details "
        "move with what they belong to",
        "T. Karras, M. Aittala, S. Laine, E. Härkönen, J. Hellsten, J. Lehtinen and T. Aila",
        PAPERS,
        OF_NETWORK["latent_dim"],
    )
