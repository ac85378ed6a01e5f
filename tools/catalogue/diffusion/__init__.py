"""Diffusion: images together with their labels, from noise."""

from __future__ import annotations

from tools.catalogue.diffusion.entry import JointBundle
from tools.catalogue.diffusion.inference import evaluate, inference
from tools.catalogue.diffusion.metadata import metadata
from tools.catalogue.diffusion.options import OPTIONS
from tools.catalogue.diffusion.training import train
from tools.catalogue.parts import Config
from tools.catalogue.terms import PHANTOMS, data_license
from tools.datasets.decathlon import HIPPOCAMPUS

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: JointBundle) -> dict[str, Config]:
    return {"train": train(bundle), "inference": inference(bundle), "evaluate": evaluate(bundle)}


def facts(bundle: JointBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: JointBundle) -> str:
    return data_license(bundle.dataset.terms, PHANTOMS)


BUNDLES = (
    JointBundle(
        "rflow_hippocampus",
        dataset=HIPPOCAMPUS,
        record="HIPPOCAMPUS",
        title="Hippocampus MR with labels",
        what="T1-weighted MR of the hippocampus",
        images={"mr": 99.5},
        image_size=64,
        phantom_size=32,
        field_of_view=(36.0, 50.0, 34.0),
        phantoms="hippocampus",
        phantom_shape=(36, 50, 34),
    ),
)
