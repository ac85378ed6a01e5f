"""All configs of a generator of labelled slices."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.slices.inference import evaluate, inference
from tools.catalogue.slices.maker import SliceBundle, SliceMaker
from tools.catalogue.slices.style_pictures import style_pictures


def slice_configs(bundle: SliceBundle, version: str, train: Config, maker: SliceMaker) -> dict[str, Config]:
    """Return the configs by name, of which a family makes the training's; with pictures of styles if there are some."""
    return {
        "train": train,
        "inference": inference(bundle, version, maker),
        "evaluate": evaluate(bundle, maker),
        **(style_pictures(bundle, version, maker) if maker.styled else {}),
    }
