"""StyleGAN3, T and R: labelled slices from latent vectors."""

from __future__ import annotations

from dataclasses import replace

from tools.catalogue.parts import Config
from tools.catalogue.slices.configs import slice_configs
from tools.catalogue.slices.data import BRAIN_TUMOUR
from tools.catalogue.slices.maker import SliceBundle, facts, terms
from tools.catalogue.stylegan3.entry import maker
from tools.catalogue.stylegan3.metadata import metadata
from tools.catalogue.stylegan3.options import OPTIONS
from tools.catalogue.stylegan3.training import train

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: SliceBundle) -> dict[str, Config]:
    return slice_configs(bundle, metadata(bundle)["version"], train(bundle), maker())


BUNDLES = (SliceBundle("stylegan3_brats", data=replace(BRAIN_TUMOUR, classes={}, encoding=40)),)
