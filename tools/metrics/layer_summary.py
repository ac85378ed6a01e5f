"""What is kept of a set of volumes to compare it with another, layer by layer (Crespi et al., sections 3 and 4.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tools.metrics.histograms import (
    average_histogram,
    correlation_of_histograms,
    intersection_of_histograms,
    kl_of_histograms,
)
from tools.metrics.layers import LAYERS, LayerScores, axial_layers, beside_baseline
from tools.metrics.spectra import correlation_of_spectra, log_spectrum

BINS = (256, 3)
PSEUDOCOUNT = 1e-6
"""Share of a histogram added to every bin before the divergence, which one empty bin would make infinite."""


class LayerSummary:
    """Average histograms and spectra of the axial slices of a set, in each of ten layers from feet to head.

    Volumes are added one by one and not kept: the size does not grow with their number.

    Args:
        layers: number of layers.
        value_range: range of the histograms; volumes are clipped to it.
    """

    def __init__(self, layers: int = LAYERS, value_range: tuple[float, float] = (-1.0, 1.0)) -> None:
        self.layers = layers
        self.value_range = value_range
        self.volumes = 0
        self._slices = np.zeros(layers)
        self._spectra_count = np.zeros(layers)
        self._histograms = {bins: np.zeros((layers, bins)) for bins in BINS}
        self._spectra: np.ndarray | None = None

    def add(self, volume: np.ndarray) -> None:
        """Add a volume [axial, H, W], from feet to head.

        Raises:
            ValueError: fewer slices than layers, NaN, or slices of another size than before.
        """
        volume = np.clip(np.asarray(volume, np.float64), *self.value_range)
        if self._spectra is None:
            self._spectra = np.zeros((self.layers, *volume.shape[1:]))
        if self._spectra.shape[1:] != volume.shape[1:]:
            raise ValueError(
                f"slices of {volume.shape[1:]} do not fit those of {self._spectra.shape[1:]} before; resample to one "
                "size"
            )
        layer_of_slice = axial_layers(len(volume), self.layers)
        for layer, section in zip(layer_of_slice, volume, strict=True):
            for bins, total in self._histograms.items():
                total[layer] += average_histogram(section[None], bins, self.value_range)
            self._slices[layer] += 1
            if section.min() < section.max():  # a blank slice has no spectrum
                self._spectra[layer] += log_spectrum(section)
                self._spectra_count[layer] += 1
        self.volumes += 1

    def __iadd__(self, other: LayerSummary) -> LayerSummary:
        """Take in the volumes of another summary.

        Raises:
            ValueError: another number of layers, or slices of another size.
        """
        sizes = [p._spectra.shape for p in (self, other) if p._spectra is not None]
        if self.layers != other.layers or len(set(sizes)) > 1:
            raise ValueError(f"summaries of {self.layers} and {other.layers} layers, slices of {sizes}, do not add up")
        self.volumes += other.volumes
        self._slices += other._slices
        self._spectra_count += other._spectra_count
        for bins in BINS:
            self._histograms[bins] += other._histograms[bins]
        if other._spectra is not None:
            self._spectra = other._spectra.astype(np.float64) + (0 if self._spectra is None else self._spectra)
        return self

    def __add__(self, other: LayerSummary) -> LayerSummary:
        """The summary of both sets together."""
        both = LayerSummary(self.layers, self.value_range)
        both += self
        both += other
        return both

    def state(self) -> dict[str, np.ndarray]:
        """All of it as arrays, for `of_state`; spectra in single precision."""
        spectra = np.zeros((self.layers, 0, 0)) if self._spectra is None else self._spectra
        return {
            "value_range": np.asarray(self.value_range),
            "volumes": np.asarray(self.volumes),
            "slices": self._slices,
            "spectra": spectra.astype(np.float32),
            "spectra_count": self._spectra_count,
            **{f"histograms_{bins}": histograms for bins, histograms in self._histograms.items()},
        }

    @classmethod
    def of_state(cls, state: Mapping[str, np.ndarray]) -> LayerSummary:
        """The summary that `state` was taken of."""
        summary = cls(len(state["slices"]), tuple(state["value_range"].tolist()))
        summary.volumes = int(state["volumes"])
        summary._slices, summary._spectra_count = state["slices"], state["spectra_count"]
        summary._histograms = {bins: state[f"histograms_{bins}"] for bins in BINS}
        summary._spectra = state["spectra"].astype(np.float64) if state["spectra"].size else None
        return summary

    def histogram(self, layer: int, bins: int = 256) -> np.ndarray:
        """Average histogram of a layer, [bins], sum 1."""
        return self._histograms[bins][layer] / self._slices[layer]

    def has_spectrum(self, layer: int) -> bool:
        """Return whether a slice of the layer shows anything."""
        return self._spectra is not None and self._spectra_count[layer] > 0

    def spectrum(self, layer: int) -> np.ndarray:
        """Average log spectrum of a layer, [H, W]."""
        if not self.has_spectrum(layer):
            raise ValueError(f"layer {layer + 1} has no slice that shows anything, so it has no spectrum")
        return self._spectra[layer] / self._spectra_count[layer]


SCORES: dict[str, Callable[[LayerSummary, LayerSummary, int], float]] = {
    "kl_256": lambda r, s, k: kl_of_histograms(r.histogram(k), s.histogram(k), PSEUDOCOUNT),
    "kl_3": lambda r, s, k: kl_of_histograms(r.histogram(k, 3), s.histogram(k, 3), PSEUDOCOUNT),
    "correlation": lambda r, s, k: correlation_of_histograms(r.histogram(k), s.histogram(k)),
    "intersection": lambda r, s, k: intersection_of_histograms(r.histogram(k), s.histogram(k)),
    "spectral_correlation": lambda r, s, k: (
        correlation_of_spectra(r.spectrum(k), s.spectrum(k)) if r.has_spectrum(k) and s.has_spectrum(k) else math.nan
    ),
}
"""(real, synthetic, layer) -> score: smaller is better for the divergences, larger for the others."""


def compare_layers(real: tuple[LayerSummary, LayerSummary], synthetic: LayerSummary) -> dict[str, LayerScores]:
    """The scores of the paper in every layer, beside those of one half of the real set against the other.

    Args:
        real: summaries of two halves of the real set.
        synthetic: summary of a model's set.

    Returns:
        scores by name, see `SCORES`. A layer in which no slice shows anything has no spectral correlation.

    Raises:
        ValueError: an empty summary.
    """
    if not (real[0].volumes and real[1].volumes and synthetic.volumes):
        raise ValueError(
            f"layers need two halves of real volumes and synthetic ones, got {real[0].volumes}, {real[1].volumes} and "
            f"{synthetic.volumes} volumes"
        )
    whole = real[0] + real[1]
    result = {}
    for name, score in SCORES.items():
        scores = [score(whole, synthetic, k) for k in range(synthetic.layers)]
        baseline = [score(*real, k) for k in range(synthetic.layers)]
        result[name] = beside_baseline(scores, baseline)
    return result
