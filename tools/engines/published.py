"""Images of noise by published networks, inside MONAI's evaluators: what each release tells its networks."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from tools.engines.sampling import DiffusionSampler
from tools.networks.published import PublishedDiffusion
from tools.transforms.maisi import (
    MADE,
    SIZED,
    SIZED_TUMOURS,
    anatomy_sizes,
    bits,
    cleaned,
    on_grid,
    region_ends,
    regions_of,
)

SHORTENED = 4
"""Voxels of a volume along one of a latent, in MAISI's autoencoders."""

HALO = 3
"""Voxels that MAISI's convolutions take of a neighbouring part, which has to have them."""

UNIT = 100.0
"""What MAISI's networks are told is a hundred times a region's number or a voxel's millimetres."""


class LatentSampler(Inferer):
    """Denoise latents and decode them.

    Args:
        sampler: sampler of the latents.
        conditions: numbers that the network is told, by name, in its order: as channels that are the same everywhere,
            after the latents, and by attention (Pinaya et al. 2022, section 2.2). Empty where it is told none.

    Raises:
        ValueError: a condition is not in [0, 1].
    """

    def __init__(self, sampler: DiffusionSampler, conditions: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.sampler = sampler
        self.conditions = dict(conditions or {})
        if odd := {name: value for name, value in self.conditions.items() if not 0 <= value <= 1}:
            raise ValueError(f"conditions are {odd}, expected numbers from 0 to 1")

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: PublishedDiffusion, *args: Any, **kwargs: Any) -> Tensor:
        """Return images [B, 1, ...] in [-1, 1] of standard normal noise [B, channels, ...]."""

        def denoise(sample: Tensor, time: Tensor) -> Tensor:
            if not self.conditions:
                return network.denoiser(sample, time)
            told = torch.tensor([*self.conditions.values()], device=sample.device).expand(len(sample), 1, -1)
            channels = told[:, 0, :, None, None, None].expand(-1, -1, *sample.shape[2:])
            return network.denoiser(torch.cat([sample, channels], 1), time, context=told)

        return network(self.sampler(inputs, denoise))


class MaisiSampler(Inferer):
    """Denoise latents as MAISI does, alone or by a label map, and decode them.

    The networks are told the voxel size, in the first version the first and the last region of the body too, and in the
    second what kind of image it is (Guo et al. 2025, section 3.2; `configs/inference.json` of the releases).

    Args:
        sampler: sampler of the image's latents.
        spacing: voxel size in mm along X, Y and Z.
        regions: regions of the body, where no label map shows them; only the first version's networks are told.
        modality: class of the kind of image; 1 is CT. Only the second version's networks are told.
        make_labels: True makes a label map of the noise first.
        mask_sampler: sampler of a label map's latents.
        mask_size: voxels of that map along X, Y and Z.
        mask_spacing: their size in mm.
        sizes: sizes of organs and tumours, see `tools.transforms.maisi.anatomy_sizes`.
        clean: True cleans made label maps, see `tools.transforms.maisi.cleaned`.
        num_splits: parts in which the autoencoder's convolutions are computed, to save memory, along Y.
        mask_num_splits: the same of the label maps' autoencoder.

    Raises:
        ValueError: options that the networks do not have.
    """

    def __init__(
        self,
        sampler: DiffusionSampler,
        spacing: Sequence[float],
        regions: Sequence[str],
        modality: int = 1,
        make_labels: bool = False,
        mask_sampler: DiffusionSampler | None = None,
        mask_size: Sequence[int] = (256, 256, 256),
        mask_spacing: Sequence[float] = (1.5, 1.5, 1.5),
        sizes: Mapping[str, float] | None = None,
        clean: bool = True,
        num_splits: int = 1,
        mask_num_splits: int = 1,
    ) -> None:
        super().__init__()
        self.sampler = sampler
        self.spacing = list(spacing)
        region_ends(regions)
        self.regions = list(regions)
        self.modality = modality
        self.make_labels = make_labels
        self.mask_sampler = mask_sampler
        self.mask_size = list(mask_size)
        self.mask_spacing = list(mask_spacing)
        self.sizes = anatomy_sizes(sizes or {})
        self.clean = clean
        self.num_splits = num_splits
        if make_labels:
            check_parts(mask_size[1], mask_num_splits, "mask_num_splits")

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, network: PublishedDiffusion, label: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """
        Args:
            inputs: standard normal noise [B, 4, X / 4, Y / 4, Z / 4].
            network: MAISI's networks.
            label: label maps [B, 1, X, Y, Z] with MAISI's values; None makes them, or does without.
            args: further arguments, which are not used.
            kwargs: further arguments by name, which are not used.

        Returns:
            Images [B, 1, X, Y, Z] in [-1, 1], and with label maps these as a second channel.

        Raises:
            ValueError: the networks cannot do what is asked for.
        """
        check_parts(SHORTENED * inputs.shape[3], self.num_splits)
        if self.make_labels and label is None:
            label = torch.cat([self.labels(noise, network) for noise in inputs.split(1)])
        if label is not None and network.controlnet is None:
            raise ValueError(
                "an image of labels is asked for, and the weights have no ControlNet: give --labels none, or fetch "
                "the weights with it"
            )
        labels = [None] * len(inputs) if label is None else label.split(1)
        return torch.cat([self._image(n, network, y) for n, y in zip(inputs.split(1), labels, strict=True)])

    def labels(self, noise: Tensor, network: PublishedDiffusion) -> Tensor:
        """Return a label map [1, 1, X, Y, Z] on the image's grid, which follows from the image's noise."""
        if network.mask_denoiser is None:
            raise ValueError(
                "label maps are to be made, and the weights have no networks for that: give --labels FOLDER or none, "
                "or fetch the weights with them"
            )
        generator = torch.Generator().manual_seed(zlib.crc32(b"labels" + noise.detach().cpu().numpy().tobytes()))
        shape = (1, noise.shape[1], *(side // SHORTENED for side in self.mask_size))
        start = torch.randn(shape, generator=generator).to(noise)
        told = torch.tensor(self.sizes, device=noise.device)[None, None]
        latents = self.mask_sampler(start, lambda sample, time: network.mask_denoiser(sample, time, context=told))
        values = torch.tensor(MADE, device=noise.device)[network.decode_labels(latents)]
        if self.clean:
            asked = [name for name, size in zip(SIZED + SIZED_TUMOURS, self.sizes, strict=True) if size != -1]
            tumour = next((name for name in asked if name in SIZED_TUMOURS), None)
            values = torch.from_numpy(cleaned(values[0, 0].cpu().numpy(), tumour))[None, None].to(noise.device)
        affine = torch.diag(torch.tensor([*self.mask_spacing, 1.0], dtype=torch.float64))
        size = [SHORTENED * side for side in noise.shape[2:]]
        return on_grid(MetaTensor(values[0].float(), affine=affine), self.spacing, size).as_tensor()[None]

    def _image(self, noise: Tensor, network: PublishedDiffusion, labels: Tensor | None) -> Tensor:
        denoiser = network.denoiser
        regions = self.regions
        kind = {}
        if denoiser.num_class_embeds is not None:
            kind = {"class_labels": torch.full((len(noise),), self.modality, device=noise.device)}
        told = {"spacing_tensor": self._told(self.spacing, noise), **kind}
        if denoiser.include_top_region_index_input:
            regions = regions if labels is None else regions_of(labels)
            top, bottom = (self._told(end, noise) for end in region_ends(regions))
            told |= {"top_region_index_tensor": top, "bottom_region_index_tensor": bottom}
        condition = None if labels is None else bits(torch.as_tensor(labels))

        def denoise(sample: Tensor, time: Tensor) -> Tensor:
            if condition is None:
                return denoiser(sample, time, **told)
            down, middle = network.controlnet(sample, time, controlnet_cond=condition, **kind)
            return denoiser(
                sample, time, **told, down_block_additional_residuals=down, mid_block_additional_residual=middle
            )

        image = network(self.sampler(noise, denoise))
        if labels is None:
            return image
        # what lies outside of the body is air, as both releases have it
        return torch.cat([image.masked_fill(labels == 0, -1.0), labels.to(image)], 1)

    @staticmethod
    def _told(numbers: Sequence[float], noise: Tensor) -> Tensor:
        return UNIT * torch.tensor(numbers, device=noise.device, dtype=torch.float32).expand(len(noise), -1)


def check_parts(length: int, num_splits: int, name: str = "num_splits") -> None:
    """Refuse parts in which MAISI's convolutions lose voxels or take neighbours that are not there.

    Args:
        length: voxels of the volume along the axis that is divided, Y.
        num_splits: number of parts.
        name: name of the option, for the message.

    Raises:
        ValueError: the latents of the volume cannot be divided so.
    """
    latent = length // SHORTENED
    if num_splits > 1 and (latent % num_splits or latent // num_splits < HALO):
        fitting = max(n for n in range(1, num_splits) if latent % n == 0 and (n == 1 or latent // n >= HALO))
        raise ValueError(
            f"{name} is {num_splits}, and the {latent} latents along Y of a volume of {length} voxels do not make "
            f"that many equal parts of {HALO} or more: MAISI's convolutions would lose some. Give --{name} "
            f"{fitting}"
        )
