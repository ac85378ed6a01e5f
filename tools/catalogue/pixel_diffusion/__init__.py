"""Pixel diffusion: labelled slices from noise."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.pixel_diffusion.entry import maker
from tools.catalogue.pixel_diffusion.metadata import metadata
from tools.catalogue.pixel_diffusion.options import OPTIONS
from tools.catalogue.pixel_diffusion.training import train
from tools.catalogue.slices.configs import slice_configs
from tools.catalogue.slices.data import BRAIN_TUMOUR
from tools.catalogue.slices.maker import SliceBundle, facts, terms

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: SliceBundle) -> dict[str, Config]:
    return slice_configs(bundle, metadata(bundle)["version"], train(bundle), maker())


BUNDLES = (SliceBundle("ddpm_brats", data=BRAIN_TUMOUR),)
