"""Parts of the configs of generators with styles: StyleGAN, StyleGAN2 and StyleGAN3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceMaker


def style_maker(target: str, settings: Mapping[str, object], checked: Sequence[str], **more: object) -> SliceMaker:
    """How such a generator makes slices.

    Args:
        target: class of the network.
        settings: settings of it, which go with the weights, with their defaults.
        checked: settings that an inference checks.
        more: further arguments of the network; one that is a setting by another name stands for it.
    """
    return SliceMaker(
        network={
            "_target_": target,
            "image_size": "@image_size",
            "image_channels": "$@sample_channels.number",
            "num_classes": "$len(@classes)",
            **{setting: f"@{setting}" for setting in settings if f"@{setting}" not in more.values()},
            **more,
        },
        settings=settings,
        inferer={
            "_target_": "tools.engines.styles.StyleInferer",
            "truncation": "@truncation",
            "cutoff": "@truncated_layers",
        },
        latents=parts.latent_from_seed(),
        options={"truncation": 1.0, "truncated_layers": None},
        checked=tuple(checked),
        styled=True,
    )


def style_discriminator(**more: object) -> Config:
    """Definition of StyleGAN2's discriminator, which StyleGAN3 has too."""
    return {
        "_target_": "tools.networks.stylegan2.StyleGAN2Discriminator",
        "image_size": "@image_size",
        "image_channels": "$@sample_channels.number",
        "num_classes": "$len(@classes)",
        "channel_base": "@channel_base",
        "channel_max": "@channel_max",
        **more,
        "frozen": "@frozen",
    }
