"""Pixel diffusion: labelled slices from noise."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.pixel_diffusion.entry import SliceDiffusionBundle
from tools.catalogue.pixel_diffusion.inference import evaluate, inference
from tools.catalogue.pixel_diffusion.metadata import metadata
from tools.catalogue.pixel_diffusion.options import OPTIONS
from tools.catalogue.pixel_diffusion.training import train
from tools.catalogue.slices.data import BRAIN_TUMOUR
from tools.catalogue.terms import PHANTOMS, data_license

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: SliceDiffusionBundle) -> dict[str, Config]:
    return {"train": train(bundle), "inference": inference(bundle), "evaluate": evaluate(bundle)}


def facts(bundle: SliceDiffusionBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: SliceDiffusionBundle) -> str:
    return data_license(bundle.data.dataset.terms, PHANTOMS)


BUNDLES = (SliceDiffusionBundle("ddpm_brats", data=BRAIN_TUMOUR),)
