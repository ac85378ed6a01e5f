"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tools.catalogue import denoising_parts, parts
from tools.catalogue.parts import Config
from tools.catalogue.volume_samples import Samples
from tools.datasets.record import Dataset

NETWORKS = "tools.networks.latent_diffusion"
SIZES = (
    "autoencoder_channels",
    "autoencoder_patch",
    "latent_channels",
    "codebook",
    "network_channels",
    "num_res_blocks",
)
"""Ids of the sizes of both networks."""

LATENT_CHANNELS = 4
STEPS = 30
"""Steps from noise to latent, as MAISI's second version takes."""

PHANTOM_WIDTHS = {"autoencoder_channels": [16, 32, 32], "network_channels": [32, 64]}
WIDTHS = {"autoencoder_channels": [32, 64, 128], "network_channels": [64, 128, 256]}
"""Widths of the levels of both networks with phantoms, and with the dataset; all but the first halve what they get."""


@dataclass(frozen=True)
class LatentBundle:
    """Volumes from latents.

    Attributes:
        name: name of the bundle.
        samples: description of the samples.
        dataset: record of the dataset.
        title: name of the volumes in the bundle's title.
        what: name of the volumes in a sentence.
        image_size: rows of a volume with the dataset.
        volume_size: slices, rows and columns with the dataset.
        phantom_size: rows with phantoms.
        autoencoder_epochs: length of the first stage with the dataset.
        max_epochs: length of the second.
        batch_size: samples of a batch with the dataset.
        field_of_view: millimetres, axial first, where the weights know none.
        one_by_one: True where volumes are so large that they go through the autoencoder one after the other.
    """

    name: str
    samples: Samples
    dataset: Dataset
    title: str
    what: str
    image_size: int
    volume_size: list[int]
    phantom_size: int
    autoencoder_epochs: int
    max_epochs: int
    batch_size: int
    field_of_view: tuple[float, float, float]
    one_by_one: bool = False

    @property
    def latent_shape(self) -> list[int]:
        """Channels, slices, rows and columns of a latent with the dataset."""
        times = 2 ** (len(WIDTHS["autoencoder_channels"]) - 1)
        return [LATENT_CHANNELS, *(length // times for length in self.volume_size)]

    @property
    def labels(self) -> Config:
        """Value in files by name of each class, empty without labels."""
        return self.samples.ids.get("labels", {})


def networks(bundle: LatentBundle) -> Config:
    """Definitions of the network that inference needs: MONAI's autoencoder and U-Net."""
    number = f"${str(bundle.samples.number).removeprefix('$')} * @autoencoder_patch ** 3"
    levels = {"spatial_dims": 3, "in_channels": number, "out_channels": number}
    return {
        "kl_def": {
            "_target_": "AutoencoderKL",
            "_disabled_": "$@codebook > 0",
            **levels,
            "channels": "@autoencoder_channels",
            "latent_channels": "@latent_channels",
            "num_res_blocks": "@num_res_blocks",
            "attention_levels": "$[False] * len(@autoencoder_channels)",
            "norm_num_groups": 8,
            "with_encoder_nonlocal_attn": False,
            "with_decoder_nonlocal_attn": False,
        },
        "vq_def": {
            "_target_": "VQVAE",
            "_disabled_": "$@codebook == 0",
            **levels,
            "channels": "$@autoencoder_channels[1:]",
            "num_res_channels": "$@autoencoder_channels[1:]",
            "num_res_layers": "@num_res_blocks",
            "downsample_parameters": [2, 4, 1, 1],
            "upsample_parameters": [2, 4, 1, 1, 0],
            "num_embeddings": "@codebook",
            "embedding_dim": "@latent_channels",
        },
        "autoencoder_def": {
            "_target_": f"{NETWORKS}.LatentAutoencoder",
            "network": "$@kl_def or @vq_def",
            "num_images": bundle.samples.num_images,
            "patch": "@autoencoder_patch",
        },
        "denoiser_def": {
            "_target_": "DiffusionModelUNet",
            "spatial_dims": 3,
            "in_channels": "@latent_channels",
            "out_channels": "@latent_channels",
            "channels": "@network_channels",
            "num_res_blocks": "@num_res_blocks",
            "attention_levels": "$[False] * len(@network_channels)",
            "norm_num_groups": 8,
            "num_head_channels": "$@network_channels[-1]",
        },
        "network_def": {
            "_target_": f"{NETWORKS}.LatentDiffusion",
            "autoencoder": "@autoencoder_def",
            "denoiser": "@denoiser_def",
        },
    }


def schedule() -> Config:
    """A flow; or the noise of Pinaya et al., and latents that are not clipped."""
    return denoising_parts.scheduler(schedule="scaled_linear_beta", beta_start=0.0015, beta_end=0.0205, clip=False)


def sampler(**more: Any) -> Config:
    """Samples of latents, by a sampler with further arguments, and their volumes."""
    return {
        "_target_": "tools.engines.latents.LatentSampler",
        "sampler": denoising_parts.sampler(latents=True, **more),
        "slab_length": "@slab_length",
    }


def noise_shape() -> Config:
    """Shape of a latent, by the sizes of volume and autoencoder."""
    return {
        "noise_shape": "$[@latent_channels, *[n // @autoencoder_patch // 2 ** (len(@autoencoder_channels) - 1) "
        "for n in @volume_size]]",
    }


def noise_from_seed() -> Config:
    return parts.latent_from_seed("@noise_shape")


def trained(bundle: LatentBundle, place: bool = False) -> Config:
    """Return what the weights say, with this bundle's defaults; ``place`` adds the extent of the volumes."""
    samples = {
        **bundle.samples.ids,
        "image_size": bundle.image_size,
        "volume_size": bundle.volume_size,
    }
    defaults = {
        **{id: samples[id] for id in bundle.samples.kept},
        **WIDTHS,
        "autoencoder_patch": 1,
        "latent_channels": LATENT_CHANNELS,
        "codebook": 0,
        "num_res_blocks": 1,
        "prediction": "flow",
    }
    ids = list(defaults)
    if place:
        defaults["data"] = {"field_of_view_mm": list(bundle.field_of_view)}
    return parts.trained(bundle.name, defaults, ids)
