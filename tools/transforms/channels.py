"""The two kinds of channels of a labelled sample: images, and labels.

One description, given once in a config, says how files become the channels of a sample and how channels become files
again. Augmentation, noise and losses ask it which channels are labels, so that no intensity is ever changed there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tools.transforms.window import Window

UNKNOWN = 255
"""Class index of voxels of which nobody knows whether they belong to a class of the sample."""

BRIGHTEST = 1000.0
"""What 1 becomes in a file where an image's scale is a percentile, for then it has no unit; -1 becomes 0."""

Scale = float | tuple[float, float]


class Channels:
    """What the channels of a sample are: images in [-1, 1] first, then labels.

    Args:
        images: scale of every image by its name, in the order of the channels; `{}` for labels alone. Two numbers are a
            window, whose ends become -1 and 1: `{"ct": [-160, 240]}` in HU. One number is a percentile of what lies
            above the volume's mean (which is of the body), which becomes 1 while 0 becomes -1: `{"t1": 99.5, "flair":
            99.5}` for MR, which has no unit; 100 is the maximum.
        labels: value in the files by name of the class: `{"oedema": 2, "enhancing tumour": 4}`. Several values are one
            class, `[4, 3]`, which is written with the first of them. Any other value is background.
        encoding: "one_hot", a channel per class, 1 inside and -1 outside; or a number by which the value in the files
            is multiplied for one channel of eight bits (Eklund's BraTS slices: 40, so that 0, 1, 2 and 4 become 0, 40,
            80 and 160 of 255), which a network makes blurred edges of.

    Attributes:
        names: names of the channels, in order; one channel for all classes is called "label".

    Raises:
        ValueError: neither image nor label, a scale that is neither a percentile nor a window, two classes of one
            value, more than 254 classes, or an encoding of values that leave 8 bits.

    Example::

        channels = Channels({"t1": 99.5, "flair": 99.5}, {"core": 1, "oedema": 2})
        channels.names     # ("t1", "flair", "core", "oedema")
        sample = channels.join(image, label)      # [B, 4, H, W] of [B, 2, H, W] and class indices [B, 1, H, W]
        image, label = channels.split(sample)     # and back
    """

    def __init__(
        self,
        images: Mapping[str, float | Sequence[float]],
        labels: Mapping[str, int | Sequence[int]] | None = None,
        encoding: str | float = "one_hot",
    ) -> None:
        if not images and not labels:
            raise ValueError("a sample needs an image or labels; name images with scales: images={'ct': [-160, 240]}")
        self.images: dict[str, Scale] = {name: _scale(name, scale) for name, scale in images.items()}
        self.labels: dict[str, tuple[int, ...]] = {
            name: (value,) if isinstance(value, int) else tuple(value) for name, value in (labels or {}).items()
        }
        self.encoding = encoding
        self.names = (*self.images, *(self.labels if encoding == "one_hot" else ("label",) * bool(self.labels)))
        values = [value for several in self.labels.values() for value in several]
        if len(set(values)) < len(values) or any(value <= 0 for value in values) or not all(self.labels.values()):
            raise ValueError(
                f"labels are {dict(self.labels)}; every class needs whole numbers above 0 (0 is background), and none "
                "that another class has"
            )
        if len(self.labels) >= UNKNOWN:
            raise ValueError(f"there are {len(self.labels)} classes, expected at most {UNKNOWN - 1}")
        if encoding != "one_hot":
            if isinstance(encoding, bool) or not isinstance(encoding, int | float) or encoding <= 0:
                raise ValueError(f"encoding is {encoding!r}, expected 'one_hot' or a positive factor such as 40")
            if max(self.values) * encoding > 255:
                raise ValueError(
                    f"encoding {encoding:g} makes {max(self.values) * encoding:g} of the class with value "
                    f"{max(self.values)}, which is above 255; take a smaller factor or 'one_hot'"
                )

    def digested(self) -> list:
        """What of it the digest of a chain of transforms has: all, in order, but how labels are shown to networks."""
        return [[*self.images.items()], [*self.labels.items()]]

    @property
    def values(self) -> tuple[int, ...]:
        """Value in files of every class index: background's 0 first."""
        return (0, *(several[0] for several in self.labels.values()))

    @property
    def classes(self) -> dict[str, int]:
        """Value by name, with background, in files that are written: those of files that are read where these are 0, 1,
        2 and so on, as nnU-Net wants them, and else numbers in the order of the classes.
        """
        numbers = range(len(self.values))
        values = self.values if sorted(self.values) == [*numbers] else numbers
        return dict(zip(("background", *self.labels), values, strict=True))

    @property
    def grey_values(self) -> dict[str, tuple[float, float]]:
        """What -1 and 1 become in files, by name of each image whose scale is a percentile."""
        return {name: (0.0, BRIGHTEST) for name, scale in self.images.items() if not isinstance(scale, tuple)}

    @property
    def num_images(self) -> int:
        """Number of image channels."""
        return len(self.images)

    @property
    def num_labels(self) -> int:
        """Number of label channels: one per class, or one for all."""
        return (len(self.labels) if self.encoding == "one_hot" else 1) if self.labels else 0

    @property
    def number(self) -> int:
        """Number of channels of a sample, which its networks take or make."""
        return self.num_images + self.num_labels

    @property
    def is_label(self) -> Tensor:
        """Which channels are labels, bool [number]."""
        return torch.arange(self.number) >= self.num_images

    def indices(self, values: Tensor | np.ndarray, of: Mapping[str, int | Sequence[int]] | None = None) -> np.ndarray:
        """Class indices, uint8, of the whole numbers in a label file; what no class has becomes background, 0.

        Args:
            values: whole numbers of any shape.
            of: value, or values, in this file by name of the class, for files that have others than ``labels`` say;
                classes that it does not name are not in the file.

        Raises:
            ValueError: a value is no whole number.
        """
        values = np.ascontiguousarray(values)  # np.isin would copy what is not, for every class
        whole = np.rint(values)
        if not np.array_equal(whole, values):
            odd = values[whole != values].flat[0]
            raise ValueError(f"it holds {odd:g}, expected whole numbers, one for each class")
        index = np.zeros(values.shape, np.uint8)
        for number, (name, own) in enumerate(self.labels.items(), start=1):
            several = own if of is None else np.atleast_1d(of.get(name, ()))
            index[np.isin(whole, several)] = number
        return index

    def known(self, names: Sequence[str] | None = None) -> Tensor:
        """Return which classes a dataset labels, bool [classes without background], by the names of those that it does.

        Args:
            names: None if it labels all of them.
        """
        return torch.tensor([names is None or name in names for name in self.labels], dtype=torch.bool)

    def join(self, image: Tensor | None, label: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """A batch of samples [B, channels, ...] of images [B, images, ...] in [-1, 1] and class indices [B, 1, ...].

        Args:
            label: label map; may be missing where there are no classes. `UNKNOWN` voxels become 0, which is neither
                inside nor outside, in all label channels.
            known: bool [B, classes], see `known`. The channel of a class that is not known is 0 everywhere; with one
                channel for all classes nothing else than all known will do.

        Raises:
            ValueError: another number of channels, no label where there are classes, or a class that is not known in a
                sample with one channel for all.
        """
        if image is None and label is not None:
            image = label.new_empty(len(label), 0, *label.shape[2:], dtype=torch.float32)
        if image is None or image.shape[1] != self.num_images:
            found = "no image" if image is None else f"{image.shape[1]} image channels"
            raise ValueError(f"got {found}, expected {self.num_images}: {list(self.images)}")
        if not self.labels:
            return image
        if label is None or label.shape[1] != 1:
            found = "none" if label is None else f"shape {tuple(label.shape)}"
            raise ValueError(f"expected class indices [B, 1, ...] beside the images, got {found}")
        is_unknown = label == UNKNOWN
        if self.encoding == "one_hot":
            index = torch.arange(1, len(self.labels) + 1, device=label.device)
            inside = label == index.view(-1, *[1] * (label.ndim - 2))
            channels = inside.to(image.dtype) * 2 - 1
            if known is not None:
                channels = channels * known.to(channels).view(*known.shape, *[1] * (label.ndim - 2))
        else:
            if known is not None and not known.all():
                raise ValueError("one channel for all classes cannot say that a class is unknown; take 'one_hot'")
            value = torch.tensor(self.values, dtype=image.dtype, device=image.device)
            index = label.long().masked_fill(is_unknown, 0)
            channels = value[index] * (self.encoding / 127.5) - 1
        return torch.cat([image, channels.masked_fill(is_unknown, 0)], 1)

    def counted(self, label: Tensor, known: Tensor | None = None) -> Tensor:
        """Where it is known what label channels should be: bool [B, label channels, ...], arguments as of `join`."""
        counted = (label != UNKNOWN).expand(-1, self.num_labels, *label.shape[2:])
        if known is not None and self.encoding == "one_hot":
            counted = counted & known.bool().view(len(label), -1, *[1] * (label.ndim - 2))
        return counted

    def split(self, sample: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images [B, images, ...] and class indices uint8 [B, 1, ...] of samples [B, channels, ...], as networks make.

        In one-hot channels the greatest wins, if it is above 0; in one channel for all the nearest value does, so that
        the edge between class 4 and background passes through 1 and 2 where a network blurs it.

        Raises:
            ValueError: another number of channels.
        """
        if sample.shape[1] != self.number:
            raise ValueError(f"got {sample.shape[1]} channels, expected {self.number}: {', '.join(self.names)}")
        image, label = sample[:, : self.num_images], sample[:, self.num_images :]
        if not self.labels:
            return image, None
        if self.encoding == "one_hot":
            most, index = label.max(1, keepdim=True)
            return image, torch.where(most > 0, index + 1, 0).to(torch.uint8)
        value = torch.tensor(self.values, dtype=torch.float32, device=label.device)
        order = value.argsort()
        middles = (value[order][1:] + value[order][:-1]) / 2 * (self.encoding / 127.5) - 1
        return image, order[torch.bucketize(label.float().contiguous(), middles)].to(torch.uint8)

    def to_values(self, index: Tensor | np.ndarray) -> np.ndarray:
        """Whole numbers as files have them, of class indices; `UNKNOWN` stays what it is."""
        table = np.arange(256, dtype=np.int64)
        table[: len(self.values)] = self.values
        values = table[np.asarray(index)]
        return values.astype(np.uint8 if max(self.values) < 256 else np.uint16)


def scaled(volume: np.ndarray, scale: Scale) -> tuple[np.ndarray, tuple[float, float]]:
    """A volume in [-1, 1], float32, and the values of -1 and 1 in its own unit; what lies beyond is clipped.

    Args:
        volume: volume of any shape.
        scale: a window or a percentile, as `Channels` takes them.

    Raises:
        ValueError: NaN or infinite values; for a percentile also one value everywhere, or none above 0.
    """
    if not np.isfinite(volume).all():
        raise ValueError("it has NaN or infinite values")
    if isinstance(scale, tuple):
        low, high = scale
    else:
        above = volume[volume > volume.mean()]
        low, high = 0.0, float(np.percentile(above, scale)) if above.size else 0.0
        if high <= 0:
            raise ValueError("it has one value everywhere, or none above 0")
    return Window(low, high).scale(volume.astype(np.float32)).clip(-1, 1), (low, high)


def _scale(name: str, scale: float | Sequence[float]) -> Scale:
    if isinstance(scale, Sequence) and not isinstance(scale, str) and len(scale) == 2:
        low, high = (float(end) for end in scale)
        if low < high:
            return low, high
    elif isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale <= 100:
        return float(scale)
    raise ValueError(
        f"the scale of {name!r} is {scale!r}, expected a window [low, high] in the volume's unit, or a percentile "
        "above 0 and up to 100"
    )
