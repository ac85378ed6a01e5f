"""Whole volumes with their labels for training, read from the same store as slices are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from tools.data.sample_store import arrays_of, names_of, usable
from tools.data.stored_samples import READ, STORED, SampleMaker
from tools.data.stored_volume import unpacked
from tools.transforms.channels import Channels
from tools.transforms.spatial import FIELD_OF_VIEW


class VolumeSamples(Dataset):
    """Volumes of images together with their label maps, each computed once and read by memory map from then on.

    Files are those that `python -m tools preprocess --kind volumes` writes, and with it items of a folder that it has
    written are read as they are: the numbers are the same. See `tools.data.sample_store.SampleStore`, which gives
    slices, for all that the two have in common. MONAI's `Dataset` takes it as its data, with a transform of samples.

    Args:
        data: datalist, as for `SampleStore`; what else an item says comes with its sample.
        transform: transform from an item to its volume, see `tools.transforms.sample_volumes.sample_volumes`.
        channels: channels of a sample; None where it has no classes. A "label" is then images [images, D, H, W] too,
            those that "image" is to become.
        store_dir: folder in which they are kept; None for memory.
        bits: 32 keeps images as they are, 16 and 8 in less space. A preprocessed folder has its own.
        num_workers: processes that compute.
        verify: True reads all that is stored and compares checksums; what is damaged is computed anew.

    Attributes:
        data: items that can be used.

    Raises:
        VolumeError: no volume can be used.
        ValueError: data are of a folder that was preprocessed with other settings.
    """

    def __init__(
        self,
        data: Sequence[dict],
        transform: Callable[[dict], dict],
        channels: Channels | None,
        store_dir: str | os.PathLike | None,
        bits: int = 32,
        num_workers: int = 0,
        verify: bool = False,
    ) -> None:
        make = SampleMaker(data, transform, channels, None if store_dir is None else Path(store_dir), bits)
        kept = usable(data, make.all(num_workers, verify))
        self.data = [item for item, _, _ in kept]
        self._volumes = [volume for _, volume, _ in kept]
        self._arrays = [arrays for _, _, arrays in kept]

    def __getstate__(self) -> dict[str, Any]:
        """Give processes that are not forked the files' names: they map the files themselves, and nothing is copied."""
        return vars(self) | {"_arrays": names_of(self._arrays)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"_arrays": arrays_of(state["_arrays"])})

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A sample: "id"; "image" float32 [images, D, H, W] in [-1, 1]; "field_of_view_mm" [3], along its axes; where
        there are classes "label" uint8 [1, D, H, W] and "known" bool [classes]; "class", where the datalist has it.
        """
        item, volume, (image, label) = self.data[index], self._volumes[index], self._arrays[index]
        sample: dict[str, Any] = {key: value for key, value in item.items() if key not in (*READ, STORED)}
        sample |= {"id": volume.id, "image": unpacked(image.swapaxes(0, 1))}
        if volume.field_of_view_mm is not None:
            sample[FIELD_OF_VIEW] = torch.tensor(volume.field_of_view_mm)
        if label is not None:
            is_map = label.ndim == 3
            sample["label"] = torch.from_numpy(np.array(label))[None] if is_map else unpacked(label.swapaxes(0, 1))
        if volume.known is not None:
            sample["known"] = torch.tensor(volume.known)
        if volume.classes is not None:
            sample["class"] = torch.tensor(volume.classes[0])
        return sample

    def fields_of_view(self) -> list[list[float]]:
        """Extent [axial, rows, columns] in mm of every volume."""
        return [volume.field_of_view_mm for volume in self._volumes]
