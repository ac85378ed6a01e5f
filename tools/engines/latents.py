"""The second stage of latent diffusion: volumes become latents to train on, and latents become volumes again."""

from __future__ import annotations

import logging
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.inferers import Inferer
from torch import Tensor
from torch.utils.data import Dataset

from tools.engines.samples import item_as_samples
from tools.engines.sampling import DiffusionSampler
from tools.networks.latent_diffusion import LatentAutoencoder, LatentDiffusion
from tools.transforms.channels import Channels

logger = logging.getLogger(__name__)


class LatentDataset(Dataset):
    """Latents of the samples of a dataset, in memory, to train a denoiser on.

    All samples are encoded once, see `EncodeVolumes`, and the scale of latents is measured over them, unless the
    autoencoder has one: 1 / their standard deviation, so that it is 1 then (Rombach et al. 2022, appendix G, who take
    the first batch's).

    Latents are means, without the noise of ``AutoencoderKL``, whose deviation is small beside theirs. An epoch so costs
    no pass through the encoder. A latent of 4 channels at a quarter of the resolution takes a sixteenth of a volume.

    Args:
        data: dataset of items with "image" [images, D, H, W] and, with labels, "label" [1, D, H, W], and perhaps
            "known".
        autoencoder: trained autoencoder, on the device that encodes.
        channels: channels of a sample; None takes the image as it is.

    Example::

        latents = LatentDataset(volumes, autoencoder, channels)
        latents.encode()
        latents[0]["image"].shape      # [4, D/4, H/4, W/4]
    """

    def __init__(self, data: Dataset, autoencoder: LatentAutoencoder, channels: Channels | None = None) -> None:
        self.data = data
        self.autoencoder = autoencoder
        self.channels = channels
        self.latents: Tensor | None = None

    @torch.no_grad()
    def encode(self) -> None:
        """Compute all latents, on the CPU, and the scale if there is none."""
        autoencoder, device = self.autoencoder.eval(), self.autoencoder.scale.device
        means = [autoencoder.encode(self.sample(index).to(device))[0].float().cpu() for index in range(len(self))]
        latents = torch.cat(means)
        if autoencoder.scale == 0:
            autoencoder.scale.fill_(1 / latents.double().std().item())
            logger.info(f"Latents of {len(self)} volumes: the scale is {autoencoder.scale.item():.4g}.")
        self.latents = latents * autoencoder.scale.cpu()

    def sample(self, index: int) -> Tensor:
        """The sample [1, channels, D, H, W] of an item."""
        return item_as_samples(self.data[index], self.channels)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.latents is None:
            raise ValueError(
                "there are no latents yet: call encode, or give this to the trainer as one of its handlers"
            )
        return {"image": self.latents[index]}


class EncodeVolumes:
    """Handler of a denoiser's trainer: when that starts, volumes become latents. Place it after `TrainingCheckpoint`.

    Args:
        latents: dataset that it trains on.
    """

    def __init__(self, latents: LatentDataset) -> None:
        self.latents = latents

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.latents.encode)


class LatentSampler(Inferer):
    """Make latents of noise, and decode them; called with noise and a ``LatentDiffusion``.

    Args:
        sampler: sampler of the latents.
        slab_length: slices that are decoded at a time, which does not change the result (`tools.networks.partwise`); 0
            decodes a volume at once.
    """

    def __init__(self, sampler: DiffusionSampler, slab_length: int = 32) -> None:
        super().__init__()
        if slab_length < 0:
            raise ValueError(f"slab_length is {slab_length}, expected slices of a slab, or 0 for whole volumes")
        self.sampler = sampler
        self.slab_length = slab_length

    def __call__(self, inputs: Tensor, network: LatentDiffusion, *args: Any, **kwargs: Any) -> Tensor:
        """
        Args:
            inputs: standard normal noise, in the shape of the latents.
            network: denoiser and autoencoder.
            args: arguments of the sampler.
            kwargs: arguments of the sampler, by name.

        Returns:
            Samples [B, channels, (D,) H, W].
        """
        latents = self.sampler(inputs, network, *args, **kwargs)
        volumes = [
            network.decode(latent, self.slab_length) for latent in latents.split(1)
        ]  # one by one, as they are made
        return volumes[0] if len(volumes) == 1 else torch.cat(volumes)
