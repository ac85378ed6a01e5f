"""An entry of the family, and what its configs share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceBundle, SliceMaker
from tools.catalogue.slices.styles import style_maker

WIDTHS = {"channel_base": 16384, "channel_max": 512}
"""Widths with the dataset."""

PHANTOM_WIDTHS = {"channel_base": 2048, "channel_max": 64}
"""Widths with phantoms."""


@dataclass(frozen=True)
class ProgressiveBundle(SliceBundle):
    """Progressive GAN, or StyleGAN, on labelled slices.

    Attributes:
        styled: True for StyleGAN.
    """

    styled: bool = False

    @property
    def method(self) -> str:
        """Name of the method."""
        return "StyleGAN" if self.styled else "Progressive GAN"

    @property
    def settings(self) -> Config:
        """Settings of the network, which go with its weights."""
        return {"latent_dim": 512, **({"style_dim": 512, "mapping_layers": 8} if self.styled else {}), **WIDTHS}

    @property
    def images(self) -> int:
        """Length of the paper's training in images."""
        return 25_000_000 if self.styled else 12_000_000


def maker(bundle: ProgressiveBundle) -> SliceMaker:
    if bundle.styled:
        target = "tools.networks.stylegan.StyleGANGenerator"
        return style_maker(target, bundle.settings, tuple(bundle.settings), average_decay=0.995)
    return SliceMaker(
        network={
            "_target_": "tools.networks.pggan.PGGANGenerator",
            "image_size": "@image_size",
            "image_channels": "$@sample_channels.number",
            "num_classes": "$len(@classes)",
            **{setting: f"@{setting}" for setting in bundle.settings},
        },
        settings=bundle.settings,
        inferer={"_target_": "tools.engines.generation.OneByOneInferer"},
        latents=parts.latent_from_seed(),
        checked=tuple(bundle.settings),
    )
