"""Pictures of what styles do: grids of mixed styles, and ways from one sample to the next."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from tools.files import whole_file
from tools.io.provenance import Provenance, png_text
from tools.networks.style_mapping import mixed
from tools.transforms.latent import LatentFromSeedd
from tools.transforms.planes import grey, grid, headed, resized, save_png

FRAME = 192
"""Pixels that the side of a picture has at least; smaller ones are enlarged."""


class StyleSamples:
    """Styles of seeds and what a style-based generator makes of them, one sample at a time, as `StyleInferer` does.

    Args:
        network: generator, with ``mapping``, ``styles`` and ``from_styles``.
        truncation: psi of ``StyleMapping.spread``.
        cutoff: number of layers, from the coarsest on, whose styles are truncated; None for all.
        label: class index of every sample, for a network with classes.

    Raises:
        ValueError: the network has classes and there is none, or the other way round.
    """

    def __init__(
        self, network: nn.Module, truncation: float = 1.0, cutoff: int | None = None, label: int | None = None
    ) -> None:
        number = network.mapping.num_classes
        if (label is None) != (number == 0) or not 0 <= (label or 0) < max(number, 1):
            raise ValueError(
                f"class_label is {label}, and the weights know {number} classes: "
                + (f"expected a number from 0 to {number - 1}" if number else "expected null")
            )
        self.network = network
        self.truncation = truncation
        self.cutoff = cutoff
        self.label = label

    @torch.inference_mode()
    def w(self, seed: int) -> Tensor:
        """Style w of a seed, [1, style_dim], before truncation, as of the sample that inference makes of it."""
        latent = LatentFromSeedd(latent_dim=self.network.latent_dim)({"seed": seed})["latent"][None]
        device = self.network.mapping.average.device
        label = None if self.label is None else torch.tensor([self.label], device=device)
        return self.network.mapping(latent.to(device), label)

    def styles(self, w: Tensor) -> Tensor:
        """Truncated styles of all layers, [1, num_ws, style_dim]."""
        return self.network.styles(w, self.truncation, self.cutoff)

    @torch.inference_mode()
    def sample(self, ws: Tensor) -> Tensor:
        """What the generator makes of styles [1, num_ws, style_dim], [C, S, S] on the CPU."""
        return self.network.from_styles(ws)[0].float().cpu()

    def mixing(self, rows: Sequence[int], columns: Sequence[int], coarse: int) -> Iterator[Tensor]:
        """Samples of the rows' seeds, of the columns', then those with the rows' coarse and the columns' fine
        styles, row by row (Karras et al. 2019, "A style-based generator architecture", Fig. 3).

        Args:
            rows: seeds of the coarse styles.
            columns: seeds of the fine styles.
            coarse: number of layers, from the coarsest on, whose styles are the row's.

        Raises:
            ValueError: ``coarse`` is no number of layers.
        """
        number = self.network.synthesis.num_ws
        if not 0 <= coarse <= number:
            raise ValueError(f"coarse_layers is {coarse}, expected a number of the {number} layers with a style")
        first, second = ([self.styles(self.w(seed)) for seed in seeds] for seeds in (rows, columns))
        yield from map(self.sample, [*first, *second])
        cut = torch.tensor([coarse], device=first[0].device)
        for one in first:
            for other in second:
                yield self.sample(mixed(one, other, cut, number))

    def way(self, seeds: Sequence[int], steps: int, closed: bool = False) -> Iterator[Tensor]:
        """Samples on the straight ways in W from each seed's style to the next, the seeds' own among them.

        Args:
            seeds: two seeds or more.
            steps: samples from one seed to the next, without the next.
            closed: True goes back to the first at the end, and leaves it out there: frames of a film that goes round.

        Raises:
            ValueError: fewer seeds or steps.
        """
        if len(seeds) < 2 or steps < 1:
            raise ValueError(f"got {len(seeds)} seeds and {steps} steps, expected 2 seeds or more and 1 step or more")
        stops = [self.w(seed) for seed in seeds]
        for begin, end in zip(stops, stops[1:] + stops[:1] * closed, strict=closed):
            for step in range(steps):
                yield self.sample(self.styles(begin.lerp(end, step / steps)))
        if not closed:
            yield self.sample(self.styles(stops[-1]))


def panel(sample: Tensor) -> list[np.ndarray]:
    """Channels of a sample [C, S, S] in [-1, 1] as grey pictures, uint8, enlarged to ``FRAME`` pixels if smaller."""
    pictures = [grey(channel.numpy(), (-1, 1)) for channel in sample]
    side = max(FRAME, sample.shape[-1])
    return [resized(picture, side, side, Image.Resampling.BICUBIC) for picture in pictures]


def save_mixing(
    samples: StyleSamples,
    path: str | os.PathLike,
    seed: int = 0,
    rows: int = 4,
    columns: int = 6,
    coarse: int = 4,
    channel: int = 0,
    provenance: Provenance | None = None,
) -> Path:
    """Write a grid of mixed styles as a PNG: rows share coarse styles, columns fine ones; samples of both at its edges.

    Args:
        samples: maker of the samples.
        path: file of the picture.
        seed: seed of the first row; further rows and then the columns have the following ones.
        rows: number of rows.
        columns: number of columns.
        coarse: number of layers whose styles are the row's.
        channel: channel of the samples that is shown.
        provenance: record of what makes them, for the picture's text.

    Returns:
        The path.
    """
    seeds = list(range(seed, seed + rows + columns))
    made = samples.mixing(seeds[:rows], seeds[rows:], coarse)
    bar = tqdm(made, total=rows + columns + rows * columns, desc="Mixing", unit="sample")
    pictures = [panel(sample[channel : channel + 1])[0] for sample in bar]
    empty = np.zeros_like(pictures[0])
    lines = [[empty, *pictures[rows : rows + columns]]]
    for row in range(rows):
        begin = rows + columns + row * columns
        lines.append([pictures[row], *pictures[begin : begin + columns]])
    layers = samples.network.synthesis.num_ws
    shared = {"rows": range(1, coarse + 1), "columns": range(coarse + 1, layers + 1)}
    corner = [f"{what}: layers {of[0]} to {of[-1]}" for what, of in shared.items() if of]
    titles = ["\n".join(corner), *(f"seed {one}" for one in seeds[:rows])]
    picture = headed(grid(lines, titles), ["", *(f"seed {one}" for one in seeds[rows:])])
    return save_png(path, picture, None if provenance is None else png_text(provenance.record(seed)))


def save_way(
    samples: StyleSamples,
    folder: str | os.PathLike,
    seed: int = 0,
    stops: int = 3,
    steps: int = 4,
    frames: int = 24,
    film: str | None = "gif",
    names: Sequence[str] | None = None,
    provenance: Provenance | None = None,
) -> list[Path]:
    """Write the way from sample to sample as ``interpolation.png``, and as a film that goes round.

    Args:
        samples: maker of the samples.
        folder: folder for the files.
        seed: seed of the first sample; the others have the following ones.
        stops: number of seeds.
        steps: samples of the picture from one seed to the next.
        frames: frames of the film from one seed to the next, of which 12 take a second.
        film: "gif", "webp", or None for none.
        names: names of the channels, which are the picture's rows.
        provenance: record of what makes them, for the files' texts.

    Returns:
        The paths of what was written.
    """
    seeds = list(range(seed, seed + stops))
    columns = [f"seed {seeds[n // steps]}" if n % steps == 0 else "" for n in range((stops - 1) * steps + 1)]
    bar = tqdm(samples.way(seeds, steps), total=len(columns), desc="Strip", unit="sample")
    panels = [panel(sample) for sample in bar]
    picture = headed(grid([*map(list, zip(*panels, strict=True))], names), columns)
    record = None if provenance is None else provenance.record(seed)
    written = [save_png(Path(folder) / "interpolation.png", picture, None if record is None else png_text(record))]
    if film is not None:
        bar = tqdm(samples.way(seeds, frames, closed=True), total=stops * frames, desc="Film", unit="frame")
        pictures = [Image.fromarray(grid([panel(sample)])) for sample in bar]
        said = "" if provenance is None else f"synthetic, made by {provenance.bundle} {provenance.version}, seed {seed}"
        options = {"comment": said.encode()} if film == "gif" else {"lossless": True}
        with whole_file(Path(folder) / f"interpolation.{film}") as partial:
            pictures[0].save(
                partial,
                format=film.upper(),
                save_all=True,
                append_images=pictures[1:],
                duration=1000 // 12,
                loop=0,
                **options,
            )
        written.append(Path(folder) / f"interpolation.{film}")
    return written
