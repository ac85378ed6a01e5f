"""The evaluation of what makes samples of several images and labels: a report on each image, and on the labels."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils.data import Dataset

from tools.errors import did_you_mean
from tools.evaluation.report_handler import EvaluationReport
from tools.metrics.labels import Statistic, compared, statistics_of
from tools.transforms.channels import UNKNOWN, Channels
from tools.transforms.flat import as_volume

ALL = "all"
"""Name in the place of an image's for all of them."""


class SampleReports:
    """Ignite handler of an evaluator that makes samples: writes for each image what `EvaluationReport` does, with the
    statistics of the labels, see `tools.metrics.labels`.

    The evaluator's "pred" is a sample [channels, (D,) H, W]. Real items have "image", the images [images, (D,) H, W]
    or whole samples, and where there are labels class indices "label" [1, (D,) H, W], and "known". Every sample is
    made and read once, however many images are looked at. `engine.state.metrics` has the numbers of
    `EvaluationReport`, behind "<image>/" where there are several, and "labels/<number>", the distance of the labels'.

    Args:
        output_dir: folder for the report; with several images each has a folder of its name in it.
        real: real samples.
        channels: channels of the samples.
        image: name of the channel that is looked at, or "all" for all images; for all labels, where there is no image.
        options: further arguments of `EvaluationReport`, by name.

    Raises:
        ValueError: no such channel.
    """

    def __init__(
        self, output_dir: str | os.PathLike, real: Dataset, channels: Channels, image: str = ALL, **options: Any
    ) -> None:
        if image != ALL and image not in channels.names:
            known = [*channels.names, ALL]
            raise ValueError(f"image is {image!r}, expected one of {', '.join(known)}.{did_you_mean(image, known)}")
        self.channels = channels
        shown = (tuple(channels.images) or channels.names) if image == ALL else (image,)
        root = Path(output_dir)
        self.reports = {
            name: EvaluationReport(root / name if len(shown) > 1 else root, real, **options) for name in shown
        }
        self._measured: dict[str, list[dict[str, float]]] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Forget what an interrupted evaluation left, and look at the real samples."""
        self._measured = {"real": [], "synthetic": []}
        for report in self.reports.values():
            report.begin()
        first = next(iter(self.reports.values()))
        for name, item in first.real_items():
            sample = self._sample(item)
            for channel, report in self.reports.items():
                report.take_real(name, {report.real_key: self._channel(sample, channel)})
            self._measure("real", sample, item.get("label"), item.get("known"))

    def collect(self, engine: Engine) -> None:
        """Reduce what an iteration has made."""
        for item in engine.state.output:
            sample = torch.as_tensor(item["pred"]).detach().float().cpu()
            for channel, report in self.reports.items():
                report.take_synthetic(report.next_name(), self._channel(sample, channel))
            _, label = self.channels.split(sample[None])
            self._measure("synthetic", sample, None if label is None else label[0])

    def finish(self, engine: Engine) -> None:
        """Write the reports."""
        every = {kind: _of_all_processes(measured) for kind, measured in self._measured.items()}
        seed = next(iter(self.reports.values())).comparing.seed
        labels = compared(every["real"], every["synthetic"], seed) if self.channels.labels else {}
        for name, report in self.reports.items():
            numbers = report.write(labels)
            prefix = f"{name}/" if len(self.reports) > 1 else ""
            engine.state.metrics |= {prefix + key: value for key, value in numbers.items()}
        engine.state.metrics |= _distances(labels)

    def _sample(self, item: Mapping[str, Any]) -> Tensor:
        """A real item as a sample [channels, (D,) H, W]."""
        image = item["image"]
        if len(image) == self.channels.number:
            return image
        known = item.get("known")
        return self.channels.join(image[None], item["label"][None], None if known is None else known[None])[0]

    def _channel(self, sample: Tensor, name: str) -> Tensor:
        number = self.channels.names.index(name)
        return sample[number : number + 1]

    def _measure(self, kind: str, sample: Tensor, label: Tensor | None, known: Tensor | None = None) -> None:
        if not self.channels.labels:
            return
        images = as_volume(torch.as_tensor(sample)).numpy()[: self.channels.num_images].clip(-1, 1)
        index = as_volume(torch.as_tensor(label))[0].numpy()
        of_class = [] if known is None else [bool(one) and not (index == UNKNOWN).any() for one in known]
        names, classes = [*self.channels.images], [*self.channels.labels]
        self._measured[kind].append(statistics_of(images, index, names, classes, of_class))


def _of_all_processes(measured: list[dict[str, float]]) -> list[dict[str, float]]:
    return [one for text in idist.all_gather(json.dumps(measured)) for one in json.loads(text)]


def _distances(labels: Mapping[str, Statistic]) -> dict[str, float]:
    return {f"labels/{name}": one.distance for name, one in labels.items() if one.distance == one.distance}
