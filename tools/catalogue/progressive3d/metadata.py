"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue import volume_maker
from tools.catalogue.parts import Config
from tools.catalogue.progressive.metadata import GROWING
from tools.catalogue.volume_maker import LatentVolumes

VOLUMES = (
    "Eklund A. Feeding the zombies: synthesizing brain volumes using a 3D progressive growing GAN. arXiv 1912.05357, "
    "2019."
)


def metadata(bundle: LatentVolumes) -> Config:
    return volume_maker.metadata(
        bundle,
        "3D progressive growing GAN",
        "a generator of volumes that grows with its discriminator",
        "T. Karras, T. Aila, S. Laine and J. Lehtinen, in 3D by A. Eklund",
        [VOLUMES, GROWING],
    )
