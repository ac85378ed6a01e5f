"""Rectified flow on chest CT: at the size and spacing that are asked for."""

from __future__ import annotations

from tools.catalogue.chest_flow.entry import ChestBundle
from tools.catalogue.chest_flow.inference import evaluate, inference, inpaint
from tools.catalogue.chest_flow.metadata import metadata
from tools.catalogue.chest_flow.options import OPTIONS
from tools.catalogue.chest_flow.training import train
from tools.catalogue.parts import Config
from tools.catalogue.terms import PHANTOMS, data_license
from tools.datasets.luna16 import LUNA16

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: ChestBundle) -> dict[str, Config]:
    return {
        "train": train(bundle),
        "inference": inference(bundle),
        "inpaint": inpaint(bundle),
        "evaluate": evaluate(bundle),
    }


def facts(bundle: ChestBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: ChestBundle) -> str:
    return data_license(bundle.dataset.terms, PHANTOMS)


BUNDLES = (ChestBundle("rflow_luna16", dataset=LUNA16),)
