"""``python -m tools benchmark_distances``: the Fréchet distance here beside the usual one by a matrix square root."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from scipy.linalg import sqrtm

from tools.benchmark.machine import cpu_model
from tools.benchmark.options import number
from tools.metrics.distances import frechet_distance

OURS, USUAL = "this project", "matrix square root"


@dataclass(frozen=True)
class Timing:
    """One call of one route: wall time in seconds, and the distance it gave."""

    seconds: float
    value: float


def benchmark_distances(
    samples: int = 2048, dims: int = 2048, rounds: int = 3, decay: float = 0, seed: int = 0, threads: int | None = None
) -> None:
    """Time the Fréchet distance of this project against the one by a matrix square root, on the same random features.

    In every round both routes run one after the other, and which is first alternates, so that other load on the
    machine falls on both. Prints the time of every call, the median of the ratios of the rounds with the least and the
    greatest, and by how much the two results differ. Both start from features and end with the distance.

    Args:
        samples: number of samples in each of the two sets.
        dims: dimensions of the features.
        rounds: number of times that both are measured.
        decay: the k-th dimension's standard deviation falls as k to the power of -decay. From about 0.75 the
            covariances are so close to singular that this project's route takes singular values, which is slower.
        seed: seed of the features, which are normal: the second set has another mean and covariance.
        threads: threads of torch on the CPU; torch's own choice by default. SciPy's and NumPy's are set before the
            start, by OMP_NUM_THREADS. Give both the same: OMP_NUM_THREADS=1 with --threads 1.
    """
    samples, dims = number("samples", samples, least=2), number("dims", dims)
    rounds, seed = number("rounds", rounds), number("seed", seed, least=0)
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay <= 4:
        raise ValueError(f"decay is {decay!r}, expected a number from 0 to 4.")
    if threads is not None:
        torch.set_num_threads(number("threads", threads))
    real, synthetic = random_features(samples, dims, decay, seed)
    print(f"Fréchet distance of {samples} and {samples} samples of {dims} dimensions, decay {decay:g}, seed {seed}")
    print(f"{cpu_model()}, {torch.get_num_threads()} thread(s) in torch")
    timings: list[Mapping[str, Timing]] = []
    for timing in measure(real, synthetic, rounds):
        timings.append(timing)
        print(f"round {len(timings)}: " + ", ".join(f"{name} {timing[name].seconds:.3g} s" for name in ROUTES))
    print(summary(timings))


def random_features(samples: int, dims: int, decay: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets [samples, dims], float64, before the decay of the dimensions: standard normal, and normal with mean 0.1
    and standard deviations from 0.5 to 1.5.
    """
    rng = np.random.default_rng(seed)
    scale = np.arange(1.0, dims + 1) ** -decay
    real, synthetic = rng.normal(size=(samples, dims)), rng.normal(size=(samples, dims))
    return real * scale, (0.1 + synthetic * np.linspace(0.5, 1.5, dims)) * scale


def by_matrix_square_root(real: np.ndarray, synthetic: np.ndarray) -> float:
    """|mu_r - mu_g|^2 + Tr(S_r + S_g - 2 sqrt(S_r S_g)) as written (Heusel et al. 2017, Eq. 6), with SciPy's sqrtm.

    Args:
        real: [n, d], n >= 2.
        synthetic: [m, d], m >= 2.

    Returns:
        The distance. Where a set has d samples or fewer the product is singular, and the root is inexact.
    """
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (real, synthetic)]
    # of a singular product rounding makes the root complex, and the usual code drops the imaginary part
    root = sqrtm(covariances[0] @ covariances[1]).real
    difference = real.mean(0) - synthetic.mean(0)
    return float(difference @ difference + np.trace(covariances[0] + covariances[1]) - 2 * np.trace(root))


ROUTES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {OURS: frechet_distance, USUAL: by_matrix_square_root}


def measure(real: np.ndarray, synthetic: np.ndarray, rounds: int) -> Iterator[dict[str, Timing]]:
    """A timing of every route for every round, in turn. A small call comes first, for what is loaded on demand."""
    for route in ROUTES.values():
        route(real[:8, :64], synthetic[:8, :64])
    for index in range(rounds):
        timings = {}
        for name in list(ROUTES)[:: 1 if index % 2 == 0 else -1]:
            start = time.perf_counter()
            value = ROUTES[name](real, synthetic)
            timings[name] = Timing(time.perf_counter() - start, value)
        yield timings


def summary(timings: list[Mapping[str, Timing]]) -> str:
    """Median times, the ratio of the rounds with its spread, and how far the results lie apart."""
    lines = [
        f"{name}: median {median(t[name].seconds for t in timings):.3g} s, distance {timings[0][name].value:.10g}"
        for name in ROUTES
    ]
    ratios = [t[USUAL].seconds / t[OURS].seconds for t in timings]
    lines.append(f"ratio of times: median {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    apart = max(abs(t[OURS].value - t[USUAL].value) / abs(t[USUAL].value) for t in timings)
    lines.append(f"relative difference of the distances: {apart:.1e}")
    return "\n".join(lines)
