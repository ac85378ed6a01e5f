"""FastGAN: slices from latent vectors, of small sets."""

from __future__ import annotations

from dataclasses import replace

from tools.catalogue.fastgan.entry import maker
from tools.catalogue.fastgan.metadata import metadata
from tools.catalogue.fastgan.options import OPTIONS
from tools.catalogue.fastgan.training import train
from tools.catalogue.parts import Config
from tools.catalogue.slices.configs import slice_configs
from tools.catalogue.slices.data import BRAIN_TUMOUR, HEAD_BLEEDING
from tools.catalogue.slices.maker import SliceBundle, facts, terms

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def configs(bundle: SliceBundle) -> dict[str, Config]:
    return slice_configs(bundle, metadata(bundle)["version"], train(bundle), maker())


BUNDLES = (
    SliceBundle("fastgan_ich", data=HEAD_BLEEDING),
    SliceBundle("fastgan_brats", data=replace(BRAIN_TUMOUR, classes={}, encoding=40)),
)
