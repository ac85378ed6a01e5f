"""Generating volumes from latents inside MONAI's evaluators."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from monai.engines.utils import PrepareBatch
from monai.inferers import Inferer
from torch import Tensor, nn
from tqdm import tqdm

from tools.files import whole_file
from tools.io.nifti import nifti_image
from tools.io.provenance import Record
from tools.networks.slabwise import SlabwiseGenerator
from tools.transforms.volume import PlaceVolumed
from tools.transforms.window import Window


class PrepareLatents(PrepareBatch):
    """Hand a ``SupervisedEvaluator`` latents as input and real volumes, if there are any, as what to compare with.

    The evaluator's output then has "image" (latents), "label" (real volumes or None) and "pred" (generated volumes).

    Args:
        latent_key: key of latents in the batch, [B, L].
        real_key: key of real volumes, [B, 1, D, H, W]; may be missing in the batch.
        class_key: key of class indices for a conditional generator, [B]; may be missing.
        conditions: key in the batch by name of the network's argument, of what else the network is given, [B, ...].
    """

    def __init__(
        self,
        latent_key: str = "latent",
        real_key: str = "image",
        class_key: str = "label",
        conditions: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.latent_key = latent_key
        self.real_key = real_key
        self.class_key = class_key
        self.conditions = dict(conditions)

    def __call__(
        self, batchdata: dict, device: str | torch.device | None = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None, tuple, dict]:
        def moved(key: str) -> Tensor | None:
            value = batchdata.get(key)
            return None if value is None else value.to(device=device, non_blocking=non_blocking, **kwargs)

        label = moved(self.class_key)
        given = {name: moved(key) for name, key in self.conditions.items()}
        return moved(self.latent_key), moved(self.real_key), (), given | ({} if label is None else {"label": label})


class OneByOneInferer(Inferer):
    """Run a generator on one latent at a time.

    Linear algebra rounds differently for other batch sizes; this way a volume depends on its seed alone. A volume
    is large enough to keep a device busy.

    Args:
        slab_length: axial slices that the generator's last layers make at a time; 0 makes whole volumes, which is
            faster as long as they fit into memory.
    """

    def __init__(self, slab_length: int = 0) -> None:
        super().__init__()
        if slab_length < 0:
            raise ValueError(f"slab_length is {slab_length}, expected slices of a slab, or 0 for whole volumes")
        self.slab_length = slab_length

    def __call__(self, inputs: Tensor, network: Callable, *args: Any, label: Tensor | None = None, **kwargs: Any):
        if self.slab_length > 0:
            network = SlabwiseGenerator(network, self.slab_length)
        labels = [None] * len(inputs) if label is None else label.split(1)
        volumes = [network(z, y, *args, **kwargs) for z, y in zip(inputs.split(1), labels, strict=True)]
        return volumes[0] if len(volumes) == 1 else torch.cat(volumes)


def write_by_slabs(
    generator: nn.Module,
    latent: Tensor,
    path: str | os.PathLike,
    window: Window | Sequence[float],
    field_of_view: Sequence[float],
    label: Tensor | None = None,
    slab_length: int = 32,
    provenance: Record | None = None,
) -> None:
    """Generate a volume that need not fit into memory, into a NIfTI file that grows slab by slab.

    It is the volume of ``inference.json``, in whole numbers; its axes run to the left, the back and the head, in which
    order the slabs come out of the generator. A progress bar shows it.

    Args:
        generator: CRF-GAN's or HA-GAN's, on the device that generates.
        latent: [1, L], there too; see `tools.transforms.latent.LatentFromSeedd` for that of a seed.
        path: path that ends in `.nii`: slabs are written as they come, and a compressed file would take hours to read
            again.
        window: values of -1 and 1 in the file, for instance (-1024, 600) HU.
        field_of_view: extent in mm [axial, rows, columns].
        label: class index [1] for a conditional generator.
        slab_length: axial slices at a time.
        provenance: origin of the volume, which the file says: `Provenance(...).record(seed)`.

    Raises:
        ValueError: several latents, or a path with another ending.
    """
    if len(latent) != 1:
        raise ValueError(f"got {len(latent)} latents, expected one: a file holds one volume")
    if Path(path).suffix != ".nii":
        raise ValueError(f"path is {path}, expected one that ends in .nii")
    slabwise = SlabwiseGenerator(generator, slab_length)
    embedding = slabwise.embed(latent, label)
    side = 4 * embedding.shape[-1]
    placed = PlaceVolumed("volume", field_of_view)(
        {"volume": torch.empty(1, side, side, side, device="meta"), "name": ""}
    )
    # in the file columns come first
    affine = placed["volume"].affine.numpy()[:, [2, 1, 0, 3]]
    header = nifti_image(np.broadcast_to(np.int16(0), (side,) * 3), affine, provenance).header
    header["vox_offset"] = header.single_vox_offset + header.extensions.get_sizeondisk()
    window = Window.of(window)
    with (
        whole_file(path) as partial,
        partial.open("wb") as file,
        tqdm(total=side, unit="slice", desc="Generation") as bar,
    ):
        header.write_to(file)
        for _, slab in slabwise.decode(embedding):
            values = window.unscale(slab.float()).round()
            file.write(values.to(torch.int16).cpu().numpy().tobytes())
            bar.update(slab.shape[2])
