"""Progressive GAN and StyleGAN, which grow from 4 or 8 pixels: labelled slices from latent vectors."""

from __future__ import annotations

from dataclasses import replace

from tools.catalogue.parts import Config
from tools.catalogue.progressive.entry import ProgressiveBundle, maker
from tools.catalogue.progressive.metadata import metadata
from tools.catalogue.progressive.options import OPTIONS
from tools.catalogue.progressive.training import train
from tools.catalogue.slices.configs import slice_configs
from tools.catalogue.slices.data import BRAIN_LABELS, BRAIN_TUMOUR, PANCREAS_TUMOUR
from tools.catalogue.slices.maker import facts, terms

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]

BRATS = replace(BRAIN_TUMOUR, classes={}, encoding=40)


def configs(bundle: ProgressiveBundle) -> dict[str, Config]:
    return slice_configs(bundle, metadata(bundle)["version"], train(bundle), maker(bundle))


BUNDLES = (
    ProgressiveBundle("pggan_brats", data=BRATS),
    ProgressiveBundle("pggan_pancreas", data=replace(PANCREAS_TUMOUR, classes={})),
    ProgressiveBundle("pggan_brats_labels", data=BRAIN_LABELS),
    ProgressiveBundle("stylegan_brats", data=BRATS, styled=True),
)
