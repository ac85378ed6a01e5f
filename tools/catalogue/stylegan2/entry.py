"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceBundle, SliceMaker
from tools.catalogue.slices.styles import style_maker

OF_NETWORK = {
    "latent_dim": 512,
    "style_dim": 512,
    "mapping_layers": 2,
    "channel_base": 16384,
    "channel_max": 512,
    "generator_architecture": "skip",
}
"""Settings of the network, which go with its weights."""

PHANTOM_WIDTHS = {"channel_base": 2048, "channel_max": 64}
"""Widths with phantoms."""


@dataclass(frozen=True)
class StyleGAN2Bundle(SliceBundle):
    """StyleGAN2 on labelled slices.

    Attributes:
        limit: greatest probability of adaptive augmentation; 0 for none.
        strengths: factors of the probability of each transformation, see `tools.losses.augmentation`.
        rotate_max: largest angle of it in degrees.
        sizes: sizes of transformations that are not the paper's, see there.
    """

    limit: float = 0.0
    strengths: tuple[tuple[str, float], ...] = ()
    rotate_max: float = 180.0
    sizes: tuple[tuple[str, float], ...] = ()

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


def maker(bundle: StyleGAN2Bundle) -> SliceMaker:
    return style_maker(
        "tools.networks.stylegan2.StyleGAN2Generator",
        bundle.settings,
        tuple(OF_NETWORK),
        average_decay=0.998,
        architecture="@generator_architecture",
    )
