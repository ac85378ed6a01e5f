"""The pictures of a report: SVG for curves, PNG for images, both as text for a page that needs no other file."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from tools.evaluation.units import SIGNED, Unit
from tools.metrics.layer_summary import LayerSummary

# readable in grey and by the colour-blind (Okabe and Ito 2008)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
REAL = "#666666"

# the same numbers give the same bytes
STYLE = {"svg.hashsalt": "report", "svg.fonttype": "none", "font.size": 10, "font.family": "sans-serif"}


def layers_plot(
    curves: Mapping[str, Sequence[float]], label: str, baseline: float | Sequence[float] | None = None
) -> str:
    """Scores of models over layers, as SVG.

    Args:
        curves: score of each layer by model, NaN where there is none.
        label: name of the scores.
        baseline: score of real against real, one for all layers or one per layer.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, (name, scores) in enumerate(curves.items()):
            places = range(1, len(scores) + 1)
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            axes.plot(places, scores, marker=marker, color=colour, label=name, markersize=4)
        layers = max(len(scores) for scores in curves.values())
        if baseline is not None:
            values = np.broadcast_to(np.asarray(baseline, float), layers)
            axes.plot(range(1, layers + 1), values, color=REAL, linestyle="--", label="real against real")
        axes.set(xlabel="layer, from feet to head", ylabel=label, xticks=range(1, layers + 1))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False, loc="best")
        return as_svg(figure)


def histograms_plot(summaries: Mapping[str, LayerSummary], unit: Unit = SIGNED) -> str:
    """Average histograms of 256 bins of whole volumes, as SVG, over values of the sets' unit; the first set is drawn as
    the real one.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, (name, summary) in enumerate(summaries.items()):
            histogram = np.mean([summary.histogram(layer) for layer in range(summary.layers)], axis=0)
            ends = [unit.value(end) for end in summary.value_range]
            places = np.linspace(*ends, len(histogram), endpoint=False)
            colour = REAL if number == 0 else COLOURS[(number - 1) % len(COLOURS)]
            axes.step(places, histogram, where="post", color=colour, label=name, linewidth=1.2)
        axes.set(xlabel=unit.axis, ylabel="share of voxels", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
        return as_svg(figure)


def spectrum_picture(summary: LayerSummary) -> str | None:
    """Mean log spectrum of all layers' slices as a PNG for an ``<img>``; None where no slice shows anything."""
    spectra = [summary.spectrum(layer) for layer in range(summary.layers) if summary.has_spectrum(layer)]
    if not spectra:
        return None
    mean = np.mean(spectra, axis=0)
    low, high = np.percentile(mean, (1, 99.9))
    return png((np.clip((mean - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8))


def png(picture: np.ndarray) -> str:
    """A picture, uint8 [h, w], or [h, w, 3] in colour, as the address of an ``<img>`` that holds it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def as_svg(figure: Figure) -> str:
    """A figure as SVG for a page, as wide as its place."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    # within a page there is no XML prologue, and a width in points would not shrink on a phone
    return re.sub(
        r'(<svg [^>]*?) width="[^"]*" height="[^"]*"|(<svg) height="[^"]*" width="[^"]*"',
        r"\1\2",
        text[text.index("<svg") :],
        count=1,
    )
