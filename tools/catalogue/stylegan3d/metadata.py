"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue import volume_maker
from tools.catalogue.parts import Config
from tools.catalogue.volume_maker import LatentVolumes

PAPERS = (
    "Hong S, Marinescu R, Dalca AV, Bonkhoff AK, Bretzner M, Rost NS, Golland P. 3D-StyleGAN: a style-based generative "
    "adversarial network for generative modeling of three-dimensional medical images. arXiv 2107.09700, 2021.",
    "Karras T, Laine S, Aittala M, Hellsten J, Lehtinen J, Aila T. Analyzing and improving the image quality of "
    "StyleGAN. CVPR 2020, arXiv 1912.04958.",
)


def metadata(bundle: LatentVolumes) -> Config:
    return volume_maker.metadata(
        bundle,
        "3D-StyleGAN",
        "a style-based generator of volumes that need not be cubes",
        "S. Hong, R. Marinescu, A. V. Dalca, A. K. Bonkhoff, M. Bretzner, N. S. Rost and P. Golland",
        PAPERS,
    )
