"""Nodules painted into chest CT (Bu et al. 2021)."""

from __future__ import annotations

from tools.catalogue.nodule_gan.entry import NoduleBundle
from tools.catalogue.nodule_gan.inference import evaluate, inference, inpaint
from tools.catalogue.nodule_gan.metadata import metadata
from tools.catalogue.nodule_gan.options import OPTIONS
from tools.catalogue.nodule_gan.training import train
from tools.catalogue.parts import Config
from tools.catalogue.terms import PHANTOMS, data_license
from tools.datasets.luna16 import LUNA16

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: NoduleBundle) -> dict[str, Config]:
    return {
        "train": train(bundle),
        "inference": inference(bundle),
        "inpaint": inpaint(bundle),
        "evaluate": evaluate(bundle),
    }


def facts(bundle: NoduleBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: NoduleBundle) -> str:
    return data_license(LUNA16.terms, PHANTOMS)


BUNDLES = (NoduleBundle("nodule_gan_luna16"),)
