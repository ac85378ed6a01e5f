"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue.parts import Config
from tools.catalogue.slices.data import SliceData

PHANTOM_SIZE = 64
"""Pixels a side with phantoms."""

OF_NETWORK = {"latent_dim": 512, "style_dim": 512, "mapping_layers": 2, "channel_base": 16384, "channel_max": 512}
"""Settings of the network, which go with its weights."""

PHANTOM_WIDTHS = {"channel_base": 2048, "channel_max": 64}
"""Widths with phantoms."""


@dataclass(frozen=True)
class StyleGAN2Bundle:
    """StyleGAN2 on labelled slices.

    Attributes:
        name: name of the bundle.
        data: dataset that it is trained on.
        image_size: pixels a side with the dataset.
        limit: greatest probability of adaptive augmentation; 0 for none.
        strengths: factors of the probability of each transformation, see `tools.losses.augmentation`.
        rotate_max: largest angle of it in degrees.
    """

    name: str
    data: SliceData
    image_size: int = 256
    limit: float = 0.0
    strengths: tuple[tuple[str, float], ...] = ()
    rotate_max: float = 180.0

    @property
    def adaptive(self) -> bool:
        """Whether images are augmented by default."""
        return self.limit > 0

    @property
    def method(self) -> str:
        """Name of the method."""
        return "StyleGAN2-ADA" if self.adaptive else "StyleGAN2"

    @property
    def settings(self) -> Config:
        """Settings of the network with the dataset."""
        return {**OF_NETWORK, "channel_base": 32768 if self.image_size > 256 else 16384}


def network() -> Config:
    return {
        "_target_": "tools.networks.stylegan2.StyleGAN2Generator",
        "image_size": "@image_size",
        "image_channels": "$@sample_channels.number",
        "num_classes": "$len(@classes)",
        **{setting: f"@{setting}" for setting in OF_NETWORK},
        "average_decay": 0.998,
    }


def sampling_options() -> Config:
    return {"truncation": 1.0, "truncated_layers": None}


def inferer() -> Config:
    return {
        "_target_": "tools.engines.styles.StyleInferer",
        "truncation": "@truncation",
        "cutoff": "@truncated_layers",
    }


def latent_from_seed() -> Config:
    return {"_target_": "tools.transforms.latent.LatentFromSeedd", "latent_dim": "@latent_dim"}


def prepare_latents(class_key: str) -> Config:
    """A latent goes in, and the class of a slice, if it has one."""
    return {"_target_": "tools.engines.generation.PrepareLatents", "class_key": class_key}
