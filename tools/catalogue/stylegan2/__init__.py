"""StyleGAN2, with adaptive augmentation or without: labelled slices from latent vectors."""

from __future__ import annotations

from dataclasses import replace

from tools.catalogue.parts import Config
from tools.catalogue.slices.configs import slice_configs
from tools.catalogue.slices.data import BRAIN_TUMOUR, HEAD_BLEEDING, PANCREAS_TUMOUR
from tools.catalogue.slices.maker import facts, terms
from tools.catalogue.slices.style_pictures import projection
from tools.catalogue.stylegan2.entry import StyleGAN2Bundle, maker
from tools.catalogue.stylegan2.metadata import metadata
from tools.catalogue.stylegan2.options import OPTIONS
from tools.catalogue.stylegan2.training import train

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: StyleGAN2Bundle) -> dict[str, Config]:
    version, making = metadata(bundle)["version"], maker(bundle)
    return {
        **slice_configs(bundle, version, train(bundle), making),
        "projection": projection(bundle, version, making),
    }


CT = (("brightness", 0.05), ("contrast", 0.1))
"""How far grey values move that mean something: Hounsfield units in a window."""

BUNDLES = (
    StyleGAN2Bundle("stylegan2_brats", data=replace(BRAIN_TUMOUR, classes={}, encoding=40)),
    StyleGAN2Bundle(
        "stylegan2_pancreas",
        data=replace(PANCREAS_TUMOUR, classes={}),
        limit=0.8,
        strengths=(("flip", 0.0), ("turn", 0.0)),  # the liver lies on the right, and patients on their backs
        rotate_max=15.0,
        sizes=CT,
    ),
    StyleGAN2Bundle(
        "stylegan2_ada_ich",
        data=HEAD_BLEEDING,
        image_size=512,
        limit=0.8,
        strengths=(("turn", 0.0),),  # patients lie on their backs; heads may be mirrored
        rotate_max=15.0,
        sizes=CT,
    ),
)
