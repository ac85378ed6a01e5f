"""StyleGAN3, T and R: labelled slices from latent vectors."""

from __future__ import annotations

from dataclasses import replace

from tools.catalogue.parts import Config
from tools.catalogue.slices.data import BRAIN_TUMOUR
from tools.catalogue.stylegan3.entry import StyleGAN3Bundle
from tools.catalogue.stylegan3.inference import evaluate, inference
from tools.catalogue.stylegan3.metadata import metadata
from tools.catalogue.stylegan3.options import OPTIONS
from tools.catalogue.stylegan3.training import train
from tools.catalogue.terms import PHANTOMS, data_license

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: StyleGAN3Bundle) -> dict[str, Config]:
    return {"train": train(bundle), "inference": inference(bundle), "evaluate": evaluate(bundle)}


def facts(bundle: StyleGAN3Bundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: StyleGAN3Bundle) -> str:
    return data_license(bundle.data.dataset.terms, PHANTOMS)


BUNDLES = (StyleGAN3Bundle("stylegan3_brats", data=replace(BRAIN_TUMOUR, classes={}, encoding=40)),)
