"""An entry of the family: which MR becomes CT, and the networks and data that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue.parts import Config

TRAINED = ("image_size", "slices", "channels", "window", "field_of_view")
"""What the weights say of their training."""


@dataclass(frozen=True)
class TranslationBundle:
    """A set-up: which MR becomes CT.

    Attributes:
        name: name of the bundle.
        title: title of the model, as the paper has it.
        modalities: contrasts of MR; they are the channels of one image, unless `pool`.
        pool: True makes every contrast an image of its own, all translated by the same generator.
        contrast_ct: True for contrast-enhanced CT, as CHAOS's is.
        own_mr: option that names a folder with further MR for training.
        whole_body_ct: True crops CT of one's own to the abdomen.
        data: source of the training data; CHAOS if empty.
        own_terms: the terms of data that are the user's own, for `docs/data_license.txt`.
    """

    name: str
    title: str
    modalities: tuple[str, ...]
    pool: bool = False
    contrast_ct: bool = True
    own_mr: str = ""
    whole_body_ct: bool = False
    data: str = ""
    own_terms: str = ""

    @property
    def branches(self) -> tuple[str, ...]:
        """Images that the generators take and make on the MR's side: each has its discriminator."""
        return ("mr",) if self.pool else self.modalities

    @property
    def discriminators(self) -> dict[str, Config]:
        in_ct = "$@slices * (1 if @second_window is None else 2)"
        return {"discriminator_ct": patch_discriminator(in_ct)} | {
            f"discriminator_{branch}": patch_discriminator("@slices") for branch in self.branches
        }

    def mr_studies(self, part: str) -> str:
        pool = ", pool=True" if self.pool else ""
        extra = f", extra_dir=@{self.own_mr}" if self.own_mr else ""
        return f"mr_studies(@data_dir, '{part}', @modalities{pool}{extra}, mr_dir=@mr_dir)"

    def ct_studies(self, part: str) -> str:
        return f"ct_studies(@data_dir, '{part}', ct_dir=@ct_dir)"

    def ct_slices(self, size: str, *more: str) -> str:
        axial_range = ["axial_range=@axial_range"] if self.whole_body_ct else []
        return f"$ct_slices({', '.join([size, '@window', '@field_of_view', *more, *axial_range])})"

    def phantoms(self, own: str = "") -> Config:
        """Phantoms where no data are given; ``own``: a dictionary of folders that stand in for the dataset."""
        return {
            "phantoms": {"count": 8, "seed": 0, "shape": [20, 96, 96], "contrast": self.contrast_ct},
            "data_dir": "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms', "
            f"write_chaos_phantoms, {own}**@phantoms)",
        }


def patch_discriminator(in_channels: str) -> Config:
    """70 x 70 PatchGAN with instance norm."""
    return {
        "_target_": "PatchDiscriminator",
        "spatial_dims": 2,
        "in_channels": in_channels,
        "channels": "@discriminator_channels",
        "num_layers_d": 3,
        "norm": "INSTANCE",
        "bias": True,
    }


def generator(in_modalities: int, out_modalities: int) -> Config:
    return {
        "_target_": "tools.networks.cyclegan.TranslationGenerator",
        "in_modalities": in_modalities,
        "out_modalities": out_modalities,
        "slices": "@slices",
        "channels": "@channels",
    }


def defaults(image_size: int | str) -> Config:
    """Defaults of what the weights say of their training."""
    return {"image_size": image_size, "slices": 1, "channels": 64, "window": [-1000, 1000], "field_of_view": 400.0}
