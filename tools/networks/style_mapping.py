"""The mapping network of style-based generators: latents z to styles w, and what is done with styles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.equalised import HE, SLOPE, EqualisedLinear, pixel_norm
from tools.networks.self_described import SelfDescribed


class StyleMapping(nn.Module):
    """z, of unit second moment, and the class's vector, likewise, through dense layers with leaky ReLU.

    As in StyleGAN2 with adaptive augmentation (Karras et al. 2020, "Training generative adversarial networks with
    limited data"), appendix B.

    Args:
        latent_dim: size of z; 0 for none, as in a discriminator.
        style_dim: size of w and of every layer.
        num_classes: number of classes; 0 for none.
        layers: number of dense layers.
        lr_multiplier: multiplier of their learning rate.
        average_decay: decay of the average of w, by which styles are truncated.
        bias_gain: factor of every bias, besides the multiplier.

    Attributes:
        average: average of w, [style_dim], a buffer.
    """

    def __init__(
        self,
        latent_dim: int = 512,
        style_dim: int = 512,
        num_classes: int = 0,
        layers: int = 8,
        lr_multiplier: float = 0.01,
        average_decay: float = 0.998,
        bias_gain: float = HE,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.average_decay = average_decay
        self.embedding = EqualisedLinear(num_classes, style_dim) if num_classes else None
        widths = [latent_dim + style_dim * bool(num_classes), *[style_dim] * layers]
        self.layers = nn.ModuleList(
            EqualisedLinear(before, style_dim, gain=HE, bias_gain=bias_gain, lr_multiplier=lr_multiplier)
            for before in widths[:-1]
        )
        self.register_buffer("average", torch.zeros(style_dim))

    def forward(self, latent: Tensor | None, label: Tensor | None = None) -> Tensor:
        """[B, latent_dim] and, if there are classes, class indices [B] -> w, [B, style_dim]."""
        w = self.normalised(latent, label)
        for layer in self.layers:
            w = F.leaky_relu(layer(w), SLOPE)
        return w

    def normalised(self, latent: Tensor | None, label: Tensor | None) -> Tensor:
        """What the first layer gets: z and the class's vector, each of unit second moment."""
        parts = [] if latent is None else [pixel_norm(latent)]
        if self.embedding is not None:
            parts.append(pixel_norm(self.embedded(label)))
        return torch.cat(parts, dim=1)

    def embedded(self, label: Tensor | None) -> Tensor:
        """Class indices [B] -> their vectors [B, style_dim]."""
        return self.embedding(one_hot(label, self.num_classes).to(self.average.dtype))

    @torch.no_grad()
    def track(self, mean: Tensor) -> None:
        """Move the average towards the mean [style_dim] of the styles that a training step has made."""
        self.average.lerp_(mean.to(self.average), 1 - self.average_decay)

    def spread(self, w: Tensor, number: int, truncation: float = 1.0, cutoff: int | None = None) -> Tensor:
        """Styles [B, style_dim] for so many layers, [B, number, style_dim], truncated.

        Args:
            w: styles.
            number: number of layers.
            truncation: psi; 1 leaves styles as they are, 0 replaces them by their average.
            cutoff: number of layers, from the coarsest on, whose styles are truncated; None for all.
        """
        cutoff = number if cutoff is None else min(cutoff, number)
        near = w if truncation == 1 else self.average.lerp(w, truncation)
        return torch.stack([near] * cutoff + [w] * (number - cutoff), dim=1)


class StyledGenerator(SelfDescribed):
    """What generators with a mapping of latents to styles share. Set ``mapping``, a `StyleMapping`, and ``synthesis``,
    which makes images of the ``num_ws`` styles of its layers.
    """

    called_parts = ("mapping", "synthesis")
    scriptable = False  # layers differ from level to level, and what is None decides

    def forward(
        self,
        latent: Tensor,
        label: Tensor | None = None,
        truncation: float = 1.0,
        cutoff: int | None = None,
        noise: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """
        Args:
            latent: z [B, latent_dim], standard normal.
            label: class indices [B], if there are classes.
            truncation: psi, see ``StyleMapping.spread``.
            cutoff: number of styles, from the coarsest on, that are truncated; None for all.
            noise: noise of every layer, where layers have some; None for the same in all images.

        Returns:
            Images [B, image_channels, ...].
        """
        return self.from_styles(self.styles(self.mapping(latent, label), truncation, cutoff), noise)

    def styles(self, w: Tensor, truncation: float = 1.0, cutoff: int | None = None) -> Tensor:
        """w [B, style_dim] for every layer, [B, num_ws, style_dim]; arguments as of ``forward``."""
        return self.mapping.spread(w, self.synthesis.num_ws, truncation, cutoff)

    def from_styles(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Images of styles [B, num_ws, style_dim] as ``styles`` gives them."""
        return self.synthesis(ws, noise)


def one_hot(label: Tensor | None, num_classes: int) -> Tensor:
    """Class indices [B] as float32 [B, num_classes].

    Raises:
        ValueError: there are no indices.
    """
    if label is None:
        raise ValueError("this network is conditional: it needs a class index for every sample.")
    return F.one_hot(label.long(), num_classes).float()


def mixed(first: Tensor, second: Tensor, cut: Tensor, number: int) -> Tensor:
    """Styles of every layer, [B, number, style_dim]: the first's below a sample's cut, the second's from it on.

    Args:
        first: styles [B, style_dim], or those of all layers, [B, number, style_dim].
        second: styles likewise.
        cut: number of layers, [B], that get the first.
        number: number of layers.
    """
    is_first = torch.arange(number, device=first.device) < cut[:, None]
    first, second = (ws if ws.ndim == 3 else ws[:, None] for ws in (first, second))
    return torch.where(is_first[:, :, None], first, second)
