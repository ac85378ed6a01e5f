"""FastGAN: slices from latent vectors, of small sets."""

from __future__ import annotations

from tools.catalogue.fastgan.entry import FastGANBundle
from tools.catalogue.fastgan.inference import evaluate, inference
from tools.catalogue.fastgan.metadata import metadata
from tools.catalogue.fastgan.options import OPTIONS
from tools.catalogue.fastgan.training import train
from tools.catalogue.parts import Config
from tools.catalogue.slices.data import HEAD_BLEEDING
from tools.catalogue.terms import PHANTOMS, data_license

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: FastGANBundle) -> dict[str, Config]:
    return {"train": train(bundle), "inference": inference(bundle), "evaluate": evaluate(bundle)}


def facts(bundle: FastGANBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: FastGANBundle) -> str:
    return data_license(bundle.data.dataset.terms, PHANTOMS)


BUNDLES = (FastGANBundle("fastgan_ich", data=HEAD_BLEEDING),)
