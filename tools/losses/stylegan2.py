"""The objective of StyleGAN2, with adaptive augmentation or without."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tools.engines.processes import mean_over_processes
from tools.losses.adversarial import class_of, logistic, r1_penalty, real_sample
from tools.networks.style_mapping import mixed
from tools.transforms.channels import Channels

if TYPE_CHECKING:
    from tools.engines.draws import Draws
    from tools.losses.adaptive_augmentation import AdaptiveAugmentation


class PathLength(nn.Module):
    """What path lengths are compared with: their average so far, which belongs to the state of a training.

    Args:
        weight: weight of the penalty.
        decay: share of a step's mean length in the average.

    Attributes:
        average: a, a buffer.
    """

    def __init__(self, weight: float = 2.0, decay: float = 0.01) -> None:
        super().__init__()
        self.weight = weight
        self.decay = decay
        self.register_buffer("average", torch.zeros([]))

    def forward(self, image: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
        """(|J^T y| - a)^2, the mean over the batch, weighted (Karras et al. 2020, Eq. 4).

        |J^T y| is the root of the mean over layers of the squared length of J^T y, the gradient of the sum of G(w) y;
        y is normal, divided by the root of the number of pixels. First a moves towards the mean length.

        Args:
            image: G(w), [B, C, H, W], or volumes [B, C, D, H, W].
            ws: styles [B, layers, style_dim] from which it was made.
            noise: standard normal numbers like the image.
        """
        pixels = math.prod(image.shape[2:])
        (slope,) = torch.autograd.grad((image * noise).sum() / pixels**0.5, ws, create_graph=True)
        length = slope.float().square().sum(dim=2).mean(dim=1).sqrt()
        self.average.lerp_(mean_over_processes(length.detach().mean()).to(self.average), self.decay)
        return self.weight * (length - self.average).square().mean()


class StyleGAN2Objective:
    """One method per update, in the order in which they take place: G, its path lengths, D, and D's R1.

    Lazy regularisation is the trainer's: updates of `path_length_loss` and `r1_loss` with ``every`` 4 and 16 share the
    optimizer, a ``lazy_adam``, of the networks' own losses. Gradients that are not finite stop the training, where the
    released code replaces them by numbers.

    Args:
        generator: G, with ``mapping`` and ``synthesis`` as `StyleGAN2Generator` has them.
        discriminator: D, called with images and perhaps class indices.
        channels: channels of the images; None takes "image" of a batch as it is.
        num_classes: number of classes, 0 for none.
        gamma: weight of R1.
        style_mixing: probability that an image has two styles, the second from a layer on that is drawn.
        path_length: penalty of path lengths; None for none.
        path_every: interval of its update, for which random numbers are drawn.
        augmentation: augmentation of what D sees; None for none.
    """

    generating_updates = ("generator", "discriminator")

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        channels: Channels | None = None,
        num_classes: int = 0,
        gamma: float = 1.0,
        style_mixing: float = 0.9,
        path_length: PathLength | None = None,
        path_every: int = 4,
        augmentation: AdaptiveAugmentation | None = None,
    ) -> None:
        if not 0 <= style_mixing <= 1:
            raise ValueError(f"style_mixing is {style_mixing}, expected a probability in [0, 1]")
        if not gamma >= 0:
            raise ValueError(f"gamma is {gamma}, expected 0 or more")
        self.generator = generator
        self.discriminator = discriminator
        self.channels = channels
        self.num_classes = num_classes
        self.gamma = gamma
        self.style_mixing = style_mixing
        self.path_length = path_length
        self.path_every = path_every
        self.augmentation = augmentation

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw all that is random in one iteration, and let the augmentation's strength follow the last ones.

        Args:
            batch: "image" [B, images, S, S] in [-1, 1]; where `channels` has labels "label", class indices [B, 1, S,
                S], and perhaps "known"; with classes "class" [B].
            draws: the iteration's source of random numbers.

        Returns:
            The "real" images [B, C, S, S], "class" or None, and for each update that generates two latents [B, L], the
            layer [B] from which the second one counts, and noise [B, N] of all layers; "path_noise" like the images
            where path lengths are due, and the numbers of each augmentation.
        """
        real = real_sample(batch, self.channels)
        rows = len(real)
        drawn = {"real": real, "class": class_of(batch, self.num_classes)}
        for update in self.generating_updates:
            drawn |= {f"{update}_{name}": value for name, value in self.styles_drawn(rows, draws).items()}
        if self.path_length is not None and draws.iteration % self.path_every == 0:
            drawn["path_noise"] = draws.normal(*real.shape)
        if self.augmentation is not None:
            self.augmentation.adapt(rows, draws)
            for update in ("generator", "fake", "real", "r1"):
                drawn[f"{update}_augmentation"] = self.augmentation.draw(rows, draws)
        return drawn

    def styles_drawn(self, rows: int, draws: Draws) -> dict[str, Tensor]:
        """Latents, the layer from which the second one counts, and noise, of one update."""
        number = self.num_ws()
        latents = [draws.normal(rows, self.generator.latent_dim) for _ in range(2)]
        is_mixed, place = draws.uniform(rows), draws.uniform(rows)
        cut = torch.where(is_mixed < self.style_mixing, 1 + (place * (number - 1)).long(), number)
        noise = draws.normal(rows, sum(map(math.prod, self.noise_shapes())))
        return {"latent": latents[0], "second": latents[1], "cut": cut, "noise": noise}

    def num_ws(self) -> int:
        """Number of layers with a style."""
        return self.generator.synthesis.num_ws

    def noise_shapes(self) -> list[tuple[int, ...]]:
        """Shape of the noise of each layer."""
        return self.generator.synthesis.noise_shapes

    # --- networks ---

    def styles(self, batch: dict, update: str) -> tuple[Tensor, Tensor]:
        """Styles w [B, style_dim] of an update's latents, and those of all layers, [B, layers, style_dim]."""
        first, second = (self.generator.mapping(batch[f"{update}_{z}"], batch["class"]) for z in ("latent", "second"))
        return first, mixed(first, second, batch[f"{update}_cut"], self.generator.synthesis.num_ws)

    def synthesise(self, ws: Tensor, batch: dict, update: str) -> Tensor:
        """Images [B, C, S, S] of styles."""
        return self.generator.synthesis(ws, self.noise(batch, update))

    def noise(self, batch: dict, update: str) -> list[Tensor]:
        """Noise [B, 1, ...] of each layer, of its shape."""
        shapes = self.noise_shapes()
        layers = batch[f"{update}_noise"].split([*map(math.prod, shapes)], dim=1)
        return [one.view(-1, 1, *shape) for one, shape in zip(layers, shapes, strict=True)]

    def verdict(self, image: Tensor, batch: dict, augmentation: str) -> Tensor:
        """D's logits [B, 1] of images as they are shown to it."""
        if self.augmentation is not None:
            image = self.augmentation(image, batch[f"{augmentation}_augmentation"])
        return self.verdict_of(image, batch["class"])

    def realness(self, batch: dict) -> Tensor:
        """D's logits [B] of a loader's images, without augmentation: what tells whether it has seen them before."""
        return self.verdict_of(real_sample(batch, self.channels), class_of(batch, self.num_classes)).flatten()

    def verdict_of(self, image: Tensor, label: Tensor | None) -> Tensor:
        """D's logits [B, 1] of images as they are."""
        return self.discriminator(image) if label is None else self.discriminator(image, label)

    # --- updates ---

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log D(G(z))."""
        image = self.synthesise(self.styles(batch, "generator")[1], batch, "generator")
        return {"adversarial": logistic(self.verdict(image, batch, "generator"), real=True)}

    def path_length_loss(self, batch: dict) -> dict[str, Tensor]:
        """(|J^T y| - a)^2 on the first half of the batch, with the latents of the generator's own update."""
        half = {key: value[: max(1, len(batch["real"]) // 2)] for key, value in batch.items() if value is not None}
        _, ws = self.styles({"class": None} | half, "generator")
        return {"path_length": self.path_length(self.synthesise(ws, half, "generator"), ws, half["path_noise"])}

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """-log(1 - D(G(z))), then -log D(x)."""
        yield self.fake_loss(batch)
        yield self.real_loss(batch)

    def fake_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log(1 - D(G(z)))."""
        with torch.no_grad():
            w, ws = self.styles(batch, "discriminator")
            self.generator.mapping.track(mean_over_processes(w.float().mean(dim=0)))
            image = self.synthesise(ws, batch, "discriminator")
        return {"fake": logistic(self.verdict(image, batch, "fake"), real=False)}

    def real_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log D(x)."""
        verdict = self.verdict(batch["real"], batch, "real")
        if self.augmentation is not None:
            self.augmentation.observe(verdict)
        return {"real": logistic(verdict, real=True)}

    def r1_loss(self, batch: dict) -> dict[str, Tensor]:
        """gamma / 2 |dD(x)/dx|^2, of the images before their augmentation."""
        image = batch["real"].detach().requires_grad_()
        return {"r1": self.gamma * r1_penalty(self.verdict(image, batch, "r1"), image)}
