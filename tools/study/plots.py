"""The pictures of a study's report, as SVG for a page that needs no other file."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# readable in grey and by the colour-blind (Okabe and Ito 2008); the same numbers give the same bytes
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
STYLE = {"svg.hashsalt": "study", "svg.fonttype": "none", "font.size": 10, "font.family": "sans-serif"}
STYLE |= {"text.parse_math": False}  # a $ in a model's or reader's name is a $

DIFFICULTY = ("extremely\nsubtle", "moderately\nsubtle", "fairly\nsubtle", "moderately\nobvious", "obvious")


def difficulty_plot(percent: Sequence[float]) -> str:
    """Share of answers of every difficulty, 1 to 5 (Shiri et al., Fig. 3)."""

    def draw(axes: Axes) -> None:
        bars = axes.bar(range(1, 6), percent, color=BLUE, width=0.7)
        axes.bar_label(bars, [f"{value:.0f}%" for value in percent], padding=2)
        axes.set(ylabel="percent of answers", ylim=(0, max(percent) * 1.15 + 1))
        axes.set_xticks(range(1, 6), [f"{n}\n{name}" for n, name in enumerate(DIFFICULTY, start=1)])

    return _plot(draw, 3.2)


def votes_plot(votes: Sequence[Sequence[int]], models: Sequence[str]) -> str:
    """Votes per pair, [pairs, 2], the pairs sorted by the votes for the first model."""
    table = np.array(sorted(votes, key=lambda pair: -pair[0]))

    def draw(axes: Axes) -> None:
        places = np.arange(1, len(table) + 1)
        axes.bar(places, table[:, 0], color=BLUE, label=models[0])
        axes.bar(places, table[:, 1], bottom=table[:, 0], color=ORANGE, label=models[1])
        axes.axhline(table.sum(1).mean() / 2, color="white", linewidth=1.2, linestyle="--")
        axes.set(xlabel="pair, sorted", ylabel="votes", xlim=(0.4, len(table) + 0.6))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    return _plot(draw, 3.0)


def shares_plot(shares: Mapping[str, Mapping[str, float]], label: str) -> str:
    """Shares with intervals, one under the other, and a half as a line.

    Args:
        shares: name -> {"value", "low", "high"}.
        label: label of the axis.
    """
    names = list(shares)

    def draw(axes: Axes) -> None:
        for place, name in enumerate(names):
            share = shares[name]
            axes.plot([100 * share["low"], 100 * share["high"]], [place, place], color=BLUE, linewidth=2)
            axes.plot(100 * share["value"], place, "o", color=BLUE, markersize=7)
        axes.axvline(50, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel=label, xlim=(0, 100), ylim=(len(names) - 0.5, -0.5))
        axes.set_yticks(range(len(names)), names)

    return _plot(draw, 1.0 + 0.4 * len(names))


def order_plot(order: Sequence[int], values: Sequence[float], label: str, percent: bool) -> str:
    """Means over readers by the order of questions, with their straight line."""
    places = sorted(set(order))
    means = [np.mean([v for o, v in zip(order, values, strict=True) if o == place]) for place in places]

    def draw(axes: Axes) -> None:
        factor = 100 if percent else 1
        axes.plot(places, np.multiply(means, factor), "o", color=BLUE, markersize=4)
        if len(places) > 1:
            slope, start = np.polyfit(order, np.multiply(values, factor), 1)
            axes.plot(places, start + slope * np.array(places), color=ORANGE, linewidth=1.5)
        axes.set(xlabel="question, in the reader's order", ylabel=label)
        axes.set_ylim(*((-3, 103) if percent else (0, None)))
        axes.xaxis.get_major_locator().set_params(integer=True)

    return _plot(draw, 2.6)


def times_plot(seconds: Mapping[str, Sequence[float]]) -> str:
    """Seconds per question of every reader: median, quartiles and range."""

    def draw(axes: Axes) -> None:
        axes.boxplot(
            list(seconds.values()),
            orientation="horizontal",
            whis=(0, 100),
            widths=0.55,
            tick_labels=list(seconds),
            medianprops={"color": ORANGE, "linewidth": 2},
            boxprops={"color": GREY},
            whiskerprops={"color": GREY},
        )
        axes.invert_yaxis()
        axes.set(xlabel="seconds per question", xlim=(0, None))

    return _plot(draw, 1.0 + 0.3 * len(seconds))


def _plot(draw, height: float) -> str:
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    # within a page there is no XML prologue, and a width in points would not shrink on a phone
    start = re.sub(r' (?:width|height)="[^"]*"', "", text[text.index("<svg") :].split(">", 1)[0])
    return start + ">" + text[text.index("<svg") :].split(">", 1)[1]
