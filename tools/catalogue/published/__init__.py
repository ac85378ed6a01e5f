"""Bundles that run weights which others have published, and train nothing."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.published.entry import PublishedBundle
from tools.catalogue.published.evaluation import evaluate
from tools.catalogue.published.latent import BRAIN, BRATS
from tools.catalogue.published.latent import inference as latent_inference
from tools.catalogue.published.maisi import MAISI
from tools.catalogue.published.maisi import inference as maisi_inference
from tools.catalogue.published.metadata import metadata
from tools.catalogue.published.options import OPTIONS
from tools.catalogue.terms import data_license

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: PublishedBundle) -> dict[str, Config]:
    """There is no `train.json`: `evaluate.json` runs on top of `inference.json`."""
    inference = maisi_inference if bundle.labelled else latent_inference
    return {"inference": inference(bundle), "evaluate": evaluate(bundle)}


def facts(bundle: PublishedBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: PublishedBundle) -> str:
    return data_license(bundle.trained_on, bundle.weights_terms)


BUNDLES = (MAISI, BRATS, BRAIN)
