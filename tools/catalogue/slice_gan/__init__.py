"""Slices turned into another condition, judged alone and as stacks (Jung et al. 2021)."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.slice_gan.entry import ConditionBundle
from tools.catalogue.slice_gan.inference import evaluate, inference
from tools.catalogue.slice_gan.metadata import metadata
from tools.catalogue.slice_gan.options import OPTIONS
from tools.catalogue.slice_gan.training import train
from tools.catalogue.terms import PHANTOMS, data_license
from tools.datasets.gsp import GSP

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: ConditionBundle) -> dict[str, Config]:
    return {"train": train(bundle), "inference": inference(bundle), "evaluate": evaluate(bundle)}


def facts(bundle: ConditionBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: ConditionBundle) -> str:
    return data_license(GSP.terms, PHANTOMS)


BUNDLES = (ConditionBundle("slice_gan_gsp"),)
