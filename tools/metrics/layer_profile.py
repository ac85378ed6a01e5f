"""What is kept of a set of volumes to compare it with another, layer by layer (Crespi et al., sections 3 and 4.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tools.metrics.histograms import (
    average_histogram,
    correlation_of_histograms,
    intersection_of_histograms,
    kl_of_histograms,
)
from tools.metrics.layers import LAYERS, axial_layers, normalised_by_baseline
from tools.metrics.spectra import correlation_of_spectra, log_spectrum

BINS = (256, 3)
PSEUDOCOUNT = 1e-6
"""Share of a histogram added to every bin before the divergence, which one empty bin would make infinite."""


class LayerProfile:
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

    def __iadd__(self, other: LayerProfile) -> LayerProfile:
        """Take in the volumes of another profile.

        Raises:
            ValueError: another number of layers, or slices of another size.
        """
        sizes = [p._spectra.shape for p in (self, other) if p._spectra is not None]
        if self.layers != other.layers or len(set(sizes)) > 1:
            raise ValueError(f"profiles of {self.layers} and {other.layers} layers, slices of {sizes}, do not add up")
        self.volumes += other.volumes
        self._slices += other._slices
        self._spectra_count += other._spectra_count
        for bins in BINS:
            self._histograms[bins] += other._histograms[bins]
        if other._spectra is not None:
            self._spectra = other._spectra.astype(np.float64) + (0 if self._spectra is None else self._spectra)
        return self

    def __add__(self, other: LayerProfile) -> LayerProfile:
        """The profile of both sets together."""
        both = LayerProfile(self.layers, self.value_range)
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
    def of_state(cls, state: Mapping[str, np.ndarray]) -> LayerProfile:
        """The profile that `state` was taken of."""
        profile = cls(len(state["slices"]), tuple(state["value_range"].tolist()))
        profile.volumes = int(state["volumes"])
        profile._slices, profile._spectra_count = state["slices"], state["spectra_count"]
        profile._histograms = {bins: state[f"histograms_{bins}"] for bins in BINS}
        profile._spectra = state["spectra"].astype(np.float64) if state["spectra"].size else None
        return profile

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


SCORES: dict[str, Callable[[LayerProfile, LayerProfile, int], float]] = {
    "kl_256": lambda r, s, k: kl_of_histograms(r.histogram(k), s.histogram(k), PSEUDOCOUNT),
    "kl_3": lambda r, s, k: kl_of_histograms(r.histogram(k, 3), s.histogram(k, 3), PSEUDOCOUNT),
    "correlation": lambda r, s, k: correlation_of_histograms(r.histogram(k), s.histogram(k)),
    "intersection": lambda r, s, k: intersection_of_histograms(r.histogram(k), s.histogram(k)),
    "spectral_correlation": lambda r, s, k: (
        correlation_of_spectra(r.spectrum(k), s.spectrum(k)) if r.has_spectrum(k) and s.has_spectrum(k) else math.nan
    ),
}
"""(real, synthetic, layer) -> score: smaller is better for the divergences, larger for the others."""


def compare_layers(real: tuple[LayerProfile, LayerProfile], synthetic: LayerProfile) -> dict[str, dict[str, Any]]:
    """The scores of the paper in every layer, beside those of one half of the real set against the other.

    Args:
        real: profiles of two halves of the real set.
        synthetic: profile of a model's set.

    Returns:
        score -> see `beside_baseline`. A layer in which no slice shows anything has no spectral correlation.

    Raises:
        ValueError: an empty profile.
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


def beside_baseline(scores: Sequence[float], baseline: Sequence[float]) -> dict[str, Any]:
    """Scores of layers with their averages, and as multiples of the baseline, the paper's normalised scores.

    Args:
        scores: scores, one per layer; NaN where there is none.
        baseline: scores of the baseline, likewise.

    Returns:
        "scores", "baseline" and "ratios", lists over layers; "average", "baseline_average" and "average_ratio", over
        the layers that have both. None instead of NaN, and where a baseline of zero allows no ratio.
    """
    known = [k for k, pair in enumerate(zip(scores, baseline, strict=True)) if np.isfinite(pair).all()]
    of_scores, of_baseline = [scores[k] for k in known], [baseline[k] for k in known]
    ratios = np.full(len(scores), math.nan)
    average = average_baseline = average_ratio = math.nan
    if known:
        normalised = normalised_by_baseline(of_scores, of_baseline)
        ratios[known], average_ratio = normalised["layers"], normalised["average"]
        average, average_baseline = float(np.mean(of_scores)), float(np.mean(of_baseline))
    return {
        "scores": [_finite(v) for v in scores],
        "baseline": [_finite(v) for v in baseline],
        "average": _finite(average),
        "baseline_average": _finite(average_baseline),
        "ratios": [_finite(v) for v in ratios],
        "average_ratio": _finite(average_ratio),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
