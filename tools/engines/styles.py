"""What is made of the styles of a trained generator: truncated images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tools.engines.generation import OneByOneInferer


class StyleInferer(OneByOneInferer):
    """Run a style-based generator on one latent at a time, with styles that are moved towards their average.

    Args:
        truncation: psi (Karras et al. 2019, appendix B); 1 leaves styles as they are, less makes images more typical
            and less varied, and 0 one image of all.
        cutoff: number of layers, from the coarsest on, whose styles are truncated; None for all.
    """

    def __init__(self, truncation: float = 1.0, cutoff: int | None = None) -> None:
        super().__init__()
        self.truncation = truncation
        self.cutoff = cutoff

    def __call__(self, inputs: Tensor, network: Callable, *args: Any, label: Tensor | None = None, **kwargs: Any):
        styled = {"truncation": self.truncation, "cutoff": self.cutoff, **kwargs}
        return super().__call__(inputs, network, *args, label=label, **styled)
