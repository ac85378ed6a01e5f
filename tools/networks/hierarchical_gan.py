"""The networks of CRF-GAN and HA-GAN: a global embedding, decoded to full resolution slab by slab in training.

Sources: Shiri et al., "Comparative clinical evaluation of memory-efficient synthetic 3D GANs" (CRF-GAN), section
2.2 and Table 3; Sun et al., "Hierarchical amortized GAN for 3D high resolution medical image synthesis", IEEE JBHI
2022 (HA-GAN), whose hyperparameters CRF-GAN takes over. The text of CRF-GAN speaks of transposed convolutions with
batch normalisation in the generator; its parameter counts (Table 3) and its code are those of nearest upsampling,
3^3 convolutions and group normalisation, which are built here.

With S the side of the volumes, a power of two from 32 to 1024:

    latent z [B, 1024] --G1--> embedding A [B, 64, S/4, S/4, S/4] --G2--> volume [B, 1, S, S, S]

In training G2 sees a slab of S/32 axial slices of A, from which it makes S/8 axial slices of the volume. Volumes
are [batch, 1, axial, H, W] with values in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from tools.layers.few_rows import FewRowsLinear
from tools.layers.upsample import UpsampleConv3d
from tools.networks.self_described import SelfDescribed

IMAGE_SIZES = (32, 64, 128, 256, 512, 1024)
_GROUPS = 8  # of every group normalisation in this family


def check_image_size(image_size: int) -> int:
    """Return ``image_size`` if the family can be built for it.

    Raises:
        ValueError: the size is not a power of two from 32 to 1024.
    """
    if image_size not in IMAGE_SIZES:
        raise ValueError(
            f"image_size is {image_size}, expected a power of two from 32 to 1024: {IMAGE_SIZES}. "
            "Volumes of another size are resized by the preprocessing."
        )
    return image_size


def slab_length(image_size: int) -> int:
    """Axial slices of the sub-volume that a training step sees: S/8."""
    return check_image_size(image_size) // 8


def image_slab(volume: Tensor, start: int) -> Tensor:
    """Axial slices [start, start + S/8) of volumes [B, 1, S, S, S]."""
    return volume.narrow(2, start, volume.shape[2] // 8)


def embedding_slab(embedding: Tensor, start: int) -> Tensor:
    """The slices of embeddings [B, 64, S/4, S/4, S/4] under an image slab: S/32 from start // 4."""
    return embedding.narrow(2, start // 4, embedding.shape[2] // 8)


def _normalised(conv: nn.Module, channels: int) -> nn.Sequential:
    """A convolution, group normalisation and ReLU."""
    return nn.Sequential(conv, nn.GroupNorm(_GROUPS, channels), nn.ReLU(inplace=True))


def _doubling_widths(last: int, number: int) -> list[int]:
    """Widths that double from layer to layer: [..., last / 4, last / 2, last]."""
    return [last // 2**i for i in reversed(range(number))]


class EmbeddingGenerator(nn.Module):
    """G1: latent vector (and class) to embedding A.

    A linear layer gives 16c channels of 4^3; stages of 3^3 convolutions halve the channels and double the side until
    it is S/4. Small sizes reach S/4 early and keep it in the last stages; 512 needs one stage more and 1024 two, which
    are added where they cost least, at 8^3 and 16^3.

    Args:
        image_size: S.
        latent_dim: size L of the latent vector.
        base_channels: c; A has 2c channels.
        num_classes: number of classes, whose one-hot code is appended to the latent; 0 for none.
    """

    def __init__(self, image_size: int, latent_dim: int = 1024, base_channels: int = 32, num_classes: int = 0):
        super().__init__()
        c = base_channels
        doublings = int(log2(check_image_size(image_size) // 4 // 4))
        widths = [16 * c] * max(2, doublings - 2) + [8 * c, 4 * c, 2 * c]
        self.num_classes = num_classes
        self.width = 16 * c
        self.linear = FewRowsLinear(latent_dim + num_classes, self.width * 4**3)
        self.stages = nn.Sequential()
        for i, (before, after) in enumerate(zip([16 * c, *widths[:-1]], widths, strict=True)):
            doubles = 0 < i <= doublings
            conv = UpsampleConv3d(before, after) if doubles else nn.Conv3d(before, after, 3, padding=1)
            self.stages.append(_normalised(conv, after))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """[B, L] and, if there are classes, class indices [B] -> A, [B, 2c, S/4, S/4, S/4]."""
        return self.stages(self.first_features(latent, label))

    def first_features(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Return what the stages begin with, [B, 16c, 4, 4, 4]; arguments as of ``forward``."""
        if self.num_classes > 0:
            if label is None:
                raise ValueError("this generator is conditional: it needs a class index for every latent vector.")
            latent = torch.cat([latent, F.one_hot(label, self.num_classes).to(latent.dtype)], dim=1)
        return self.linear(latent).view(-1, self.width, 4, 4, 4)


class SubVolumeDecoder(nn.Sequential):
    """G2: embedding, or a slab of it, [B, 2c, a, S/4, S/4] -> volume, or a slab of it, [B, 1, 4a, S, S] in [-1, 1]."""

    def __init__(self, base_channels: int = 32):
        c = base_channels
        super().__init__(_normalised(UpsampleConv3d(2 * c, c), c), UpsampleConv3d(c, 1), nn.Tanh())


class Generator(SelfDescribed):
    """G: latent vector to volume; G1 (``embed``) and G2 (``decode``) can be called by themselves.

    Group normalisation in G2 takes its statistics from what it is given: a slab in training, the volume in inference.

    Args:
        image_size: side S of the volume, a power of two from 32 to 1024.
        latent_dim: size L of the latent vector.
        base_channels: c, the width of the last hidden layer.
        num_classes: number of classes for conditional generation, 0 for none.
    """

    called_parts = ("embed", "decode")

    def __init__(self, image_size: int = 256, latent_dim: int = 1024, base_channels: int = 32, num_classes: int = 0):
        super().__init__()
        self.built_with = {
            "image_size": image_size,
            "latent_dim": latent_dim,
            "base_channels": base_channels,
            "num_classes": num_classes,
        }
        self.embed = EmbeddingGenerator(image_size, latent_dim, base_channels, num_classes)
        self.decode = SubVolumeDecoder(base_channels)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """[B, L] and, if there are classes, class indices [B] -> volumes [B, 1, S, S, S] in [-1, 1]."""
        return self.decode(self.embed(latent, label))


class LowResolutionGenerator(nn.Sequential):
    """GL of HA-GAN: embedding A [B, 2c, S/4, S/4, S/4] -> the whole volume at S/4 a side, [B, 1, ...] in [-1, 1]."""

    def __init__(self, base_channels: int = 32):
        c = base_channels
        super().__init__(
            _normalised(nn.Conv3d(2 * c, c, 3, padding=1), c),
            _normalised(nn.Conv3d(c, c // 2, 3, padding=1), c // 2),
            nn.Conv3d(c // 2, 1, 3, padding=1),
            nn.Tanh(),
        )


class HierarchicalGenerator(Generator):
    """The generator of HA-GAN: that of CRF-GAN and GL, which is for training (``decode_low``)."""

    called_parts = ("embed", "decode", "decode_low")

    def __init__(self, image_size: int = 256, latent_dim: int = 1024, base_channels: int = 32, num_classes: int = 0):
        super().__init__(image_size, latent_dim, base_channels, num_classes)
        self.decode_low = LowResolutionGenerator(base_channels)


class HalfEncoder(nn.Sequential):
    """hE: volume, or a slab of it, [B, 1, a, S, S] -> embedding, or a slab of it, [B, 2c, a/4, S/4, S/4]."""

    def __init__(self, base_channels: int = 32):
        c = base_channels
        super().__init__(
            _normalised(nn.Conv3d(1, c, 4, stride=2, padding=1), c),
            _normalised(nn.Conv3d(c, c, 3, padding=1), c),
            _normalised(nn.Conv3d(c, 2 * c, 4, stride=2, padding=1), 2 * c),
        )

    def forward(self, volume: Tensor) -> Tensor:
        # layer by layer: nested containers would hold a stage's input, as large as its output, until its end
        for stage in self:
            for layer in stage:
                volume = layer(volume)
        return volume


class SubVolumeDiscriminator(nn.Module):
    """D: is this slab, at this position, real? Spectral normalisation in every layer, leaky ReLU (0.2) between them.

    Args:
        image_size: S.
        channels: d, the width of the widest layer.
        num_classes: number of classes of the auxiliary classifier, 0 for none.
    """

    called_parts = ("features",)  # compiled, the whole would be so for every position of the slab

    def __init__(self, image_size: int = 256, channels: int = 512, num_classes: int = 0):
        super().__init__()
        d = channels
        self.last_start = image_size - slab_length(image_size)  # 7S/8
        widths = [1, *_doubling_widths(d // 8, int(log2(image_size // 32)))]
        self.features = nn.Sequential()

        def add(before: int, after: int, kernel, stride, padding) -> None:
            conv = nn.Conv3d(before, after, kernel, stride, padding)
            self.features.extend([spectral_norm(conv), nn.LeakyReLU(0.2, inplace=True)])

        # S/8 x S x S is halved until 4 x 32 x 32, then the axial axis is used up faster than the other two
        for before, after in pairwise(widths):
            add(before, after, 4, 2, 1)
        add(widths[-1], d // 4, (2, 4, 4), 2, (0, 1, 1))
        add(d // 4, d // 2, (2, 4, 4), 2, (0, 1, 1))
        add(d // 2, d, (1, 4, 4), (1, 2, 2), (0, 1, 1))
        add(d, d // 4, (1, 4, 4), 1, 0)
        self.hidden = nn.Sequential(spectral_norm(nn.Linear(d // 4 + 1, d // 8)), nn.LeakyReLU(0.2, inplace=True))
        # the attribute is called so in weights that were saved: their keys stay
        self.verdict = spectral_norm(nn.Linear(d // 8, 1))
        self.classifier = spectral_norm(nn.Linear(d // 8, num_classes)) if num_classes > 0 else None

    def forward(self, slab: Tensor, start: int) -> tuple[Tensor, Tensor | None]:
        """Classify slabs that start at axial slice ``start`` of their volumes.

        Args:
            slab: [B, 1, S/8, S, S] in [-1, 1].
            start: r in [0, 7S/8], the same for the batch.

        Returns:
            Logits that the slab is real, [B, 1], and class logits [B, num_classes], None without classes.
        """
        features = self.features(slab).flatten(1)
        position = features.new_full((len(features), 1), start / self.last_start)
        hidden = self.hidden(torch.cat([features, position], dim=1))
        return self.verdict(hidden), None if self.classifier is None else self.classifier(hidden)


class LowResolutionDiscriminator(nn.Sequential):
    """D's second branch in HA-GAN: whole volumes at low resolution [B, 1, S/4, ...] -> logits [B, 1 + num_classes]."""

    def __init__(self, image_size: int = 256, channels: int = 256, num_classes: int = 0):
        super().__init__()
        widths = [1, *_doubling_widths(channels, int(log2(image_size // 16)))]
        for before, after in pairwise(widths):  # until 4 x 4 x 4
            self.extend(
                [spectral_norm(nn.Conv3d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2, inplace=True)]
            )
        self.extend([spectral_norm(nn.Conv3d(channels, 1 + num_classes, 4)), nn.Flatten()])


class HierarchicalDiscriminator(SubVolumeDiscriminator):
    """D of HA-GAN: the mean of its logits for a slab and for the whole volume at low resolution.

    Args:
        image_size: S.
        channels: d, the width of the widest layer for slabs; half of that for low resolution.
        num_classes: number of classes of the auxiliary classifier, 0 for none.
    """

    called_parts = ("features", "low")

    def __init__(self, image_size: int = 256, channels: int = 512, num_classes: int = 0):
        super().__init__(image_size, channels, num_classes)
        self.low = LowResolutionDiscriminator(image_size, channels // 2, num_classes)

    def forward(self, slab: Tensor, low: Tensor, start: int) -> tuple[Tensor, Tensor | None]:
        """Classify slabs [B, 1, S/8, S, S] from axial slice ``start`` and their volumes ``low`` [B, 1, S/4, ...]

        Returns:
            Logits that they are real, [B, 1], and class logits [B, num_classes], None without classes.
        """
        logits, classes = super().forward(slab, start)
        low_logits, low_classes = self.low(low).tensor_split([1], dim=1)
        return (logits + low_logits) / 2, None if classes is None else (classes + low_classes) / 2


class SubEncoder(nn.Sequential):
    """The sub-encoder of HA-GAN: embedding A [B, 2c, S/4, S/4, S/4] -> latent vector [B, L].

    Args:
        image_size: S.
        latent_dim: L.
        base_channels: c.
        channels: width of the last layer before the latent.
    """

    def __init__(self, image_size: int = 256, latent_dim: int = 1024, base_channels: int = 32, channels: int = 256):
        widths = [2 * base_channels, *_doubling_widths(channels, int(log2(check_image_size(image_size) // 16)))]
        super().__init__(
            *(_normalised(nn.Conv3d(a, b, 4, stride=2, padding=1), b) for a, b in pairwise(widths)),  # until 4 x 4 x 4
            nn.Conv3d(channels, latent_dim, 4),
            nn.Flatten(),
        )


def encode_by_slabs(encoder: nn.Module, volume: Tensor) -> Tensor:
    """The embedding [B, 2c, S/4, S/4, S/4] of volumes [B, 1, S, S, S], from hE slab by slab, as hE was trained."""
    length = volume.shape[2] // 8
    return torch.cat([encoder(image_slab(volume, start)) for start in range(0, volume.shape[2], length)], dim=2)


class Reconstructor(nn.Module):
    """Encode volumes and generate them again: hE by slabs, the sub-encoder, the generator (HA-GAN).

    Args:
        generator: trained generator.
        encoder: trained half-encoder hE.
        sub_encoder: trained sub-encoder.
    """

    def __init__(self, generator: Generator, encoder: HalfEncoder, sub_encoder: SubEncoder):
        super().__init__()
        self.generator = generator
        self.encoders = nn.ModuleDict({"encoder": encoder, "sub_encoder": sub_encoder})

    def forward(self, volume: Tensor, label: Tensor | None = None) -> Tensor:
        """[B, 1, S, S, S] and, if there are classes, class indices [B] -> [B, 1, S, S, S], volumes in [-1, 1]."""
        return self.generator(self.encode(volume), label)

    def encode(self, volume: Tensor) -> Tensor:
        """[B, 1, S, S, S] -> latent vectors [B, L]."""
        return self.encoders["sub_encoder"](encode_by_slabs(self.encoders["encoder"], volume))
