"""Distances between sets of images, and errors against a known truth: plain functions from arrays to numbers."""

from tools.metrics.baselines import best_constants, matched_histogram
from tools.metrics.consistency import through_plane_change
from tools.metrics.distances import frechet_distance, kernel_distance, maximum_mean_discrepancy
from tools.metrics.diversity import ms_ssim_diversity
from tools.metrics.histograms import histogram_correlation, histogram_intersection, kl_divergence
from tools.metrics.inception import inception_score
from tools.metrics.layer_profile import LayerProfile, compare_layers
from tools.metrics.neighbours import density_coverage, precision_recall
from tools.metrics.paired import (
    mean_absolute_error,
    mean_error,
    path_length_difference,
    psnr,
    ssim,
    tissue_errors,
    water_equivalent_path_length,
)
from tools.metrics.spectra import spectral_correlation
from tools.metrics.uncertainty import (
    Interval,
    bootstrap_interval,
    extrapolated_frechet_distance,
    sample_size_warning,
    small_sample_bias,
)

__all__ = [
    "Interval",
    "LayerProfile",
    "best_constants",
    "bootstrap_interval",
    "compare_layers",
    "density_coverage",
    "extrapolated_frechet_distance",
    "frechet_distance",
    "histogram_correlation",
    "histogram_intersection",
    "inception_score",
    "kernel_distance",
    "kl_divergence",
    "matched_histogram",
    "maximum_mean_discrepancy",
    "mean_absolute_error",
    "mean_error",
    "ms_ssim_diversity",
    "path_length_difference",
    "precision_recall",
    "psnr",
    "sample_size_warning",
    "small_sample_bias",
    "spectral_correlation",
    "ssim",
    "through_plane_change",
    "tissue_errors",
    "water_equivalent_path_length",
]
