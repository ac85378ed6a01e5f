"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.progressive.entry import ProgressiveBundle
from tools.catalogue.slices.metadata import gan_metadata

GROWING = (
    "Karras T, Aila T, Laine S, Lehtinen J. Progressive growing of GANs for improved quality, stability, and "
    "variation. ICLR 2018, arXiv 1710.10196."
)
STYLES = (
    "Karras T, Laine S, Aila T. A style-based generator architecture for generative adversarial networks. CVPR 2019, "
    "arXiv 1812.04948."
)
TWO_STEPS = "Foroozandeh M, Eklund A. Synthesizing brain tumor images and annotations by combining progressive growing "
TWO_STEPS += "GAN and SPADE. arXiv 2009.05946, 2020."


def metadata(bundle: ProgressiveBundle) -> Config:
    if bundle.styled:
        how = "a style-based generator that grows with its discriminator, which makes them of a latent vector at once"
        authors, papers = "T. Karras, S. Laine and T. Aila", [STYLES, GROWING]
    else:
        how = "a generator that grows with its discriminator, and makes them of a latent vector at once"
        authors, papers = "T. Karras, T. Aila, S. Laine and J. Lehtinen", [GROWING]
    papers += [] if bundle.data.images else [TWO_STEPS]
    return gan_metadata(bundle.data, bundle.method, how, authors, papers, bundle.settings["latent_dim"])
