"""The evaluation of a bundle: what its network makes against real volumes, in the report that the command writes."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from torch.utils.data import Dataset
from tqdm import tqdm

from tools.evaluation.comparison import compare
from tools.evaluation.report import Report, write_report
from tools.evaluation.results import Comparison
from tools.evaluation.settings import ComparisonSettings
from tools.evaluation.summary import ImageSummary, sets_of, signed_volume, summary_of_tensor
from tools.evaluation.units import SIGNED, Unit
from tools.features.cache import ArrayCache
from tools.features.space import FeatureSpace
from tools.files import whole_file
from tools.former import former_arguments
from tools.metrics.diversity import Diversity, SuccessiveSimilarity, diversity_of
from tools.metrics.labels import Statistic
from tools.transforms.flat import spacing_of
from tools.transforms.window import Window

logger = logging.getLogger(__name__)


class EvaluationReport:
    """Ignite handler of an evaluator that makes images: writes `report.json`, `report.csv` and `report.html`.

    Real and synthetic images are counted separately: the real ones are a dataset of their own, the synthetic ones what
    the evaluator makes, however many. They are volumes [1, D, H, W] or 2D images [1, H, W], in [-1, 1]. Each is reduced
    as soon as it is there (`tools.evaluation.summary`). Several processes share the work; the first one writes, and has
    the numbers in `engine.state.metrics`, for whoever runs the evaluator: "<feature space>/<metric>", "ms_ssim", and
    the network's errors where the truth is known.

    Args:
        output_dir: folder for the report; summaries lie there until it is written.
        real: items with real images, axial first.
        spaces: feature spaces, see `tools.features.space`.
        comparing: settings of the comparison. Its pairs are those of each process. Real images come in an order drawn
            from its seed, since neighbours in a list may show one patient.
        real_key: key of the real images.
        name: name of the model in the report.
        settings: further settings that a reader of the report should know.
        window: values that -1 and 1 stand for, which the report then speaks of; None leaves them in [-1, 1].
        unit: unit of the window, "HU" or other words.
    """

    @former_arguments("comparing", ComparisonSettings, ("layers", "seed", "resamples", "pairs"))
    def __init__(
        self,
        output_dir: str | os.PathLike,
        real: Dataset,
        spaces: Sequence[FeatureSpace],
        comparing: ComparisonSettings = ComparisonSettings(),  # noqa: B008 - frozen
        real_key: str = "image",
        name: str = "synthetic",
        settings: Mapping[str, Any] | None = None,
        window: Window | Sequence[float] | None = None,
        unit: str = "HU",
    ) -> None:
        self.output_dir = Path(output_dir)
        self.real = real
        self.spaces = list(spaces)
        self.comparing = comparing
        self.real_key = real_key
        self.name = name
        self.settings = dict(settings or {})
        self.unit = SIGNED if window is None else Unit(unit, Window.of(window))
        self._folder = self.output_dir / ".summaries"
        self._kept = {kind: ArrayCache(self._folder / kind) for kind in ("real", "synthetic")}
        self._made = 0
        self._similarity: dict[str, SuccessiveSimilarity | str] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Forget what an interrupted evaluation left, and look at the real images."""
        self.begin()
        for name, item in self.real_items():
            self.take_real(name, item)

    def begin(self) -> None:
        """Forget what an interrupted evaluation left."""
        if idist.get_rank() == 0:
            shutil.rmtree(self._folder, ignore_errors=True)
        idist.barrier()
        self._made = 0
        if self.comparing.pairs:
            self._similarity = {kind: SuccessiveSimilarity(pairs=self.comparing.pairs) for kind in self._kept}

    def real_items(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Names and items of the real images that are this process's."""
        order = np.random.default_rng(self.comparing.seed).permutation(len(self.real)).tolist()
        mine = order[idist.get_rank() :: idist.get_world_size()]
        for index in tqdm(mine, desc="Real images", unit="image", leave=False, disable=None):
            yield f"real_{index:05d}", self.real[index]

    def take_real(self, name: str, item: Mapping[str, Any]) -> None:
        """Reduce a real image."""
        image = item[self.real_key]
        self._keep("real", name, image, spacing_of(image))

    def collect(self, engine: Engine) -> None:
        """Reduce what an iteration has made."""
        for item in engine.state.output:
            self.take_synthetic(self.next_name(), item["pred"])

    def take_synthetic(self, name: str, image: torch.Tensor, spacing: Sequence[float] | None = None) -> None:
        """Reduce a synthetic image; ``spacing`` is (D, H, W) in mm, where it is known."""
        self._keep("synthetic", name, image, spacing)

    def finish(self, engine: Engine) -> None:
        """Write the report."""
        engine.state.metrics |= self.write()

    def write(self, labels: Mapping[str, Statistic] = MappingProxyType({})) -> dict[str, float]:
        """Write the report.

        Args:
            labels: statistics of labels by their names, which it tells too.

        Returns:
            Its numbers in the first process, nothing in others.
        """
        numbers: dict[str, float] = {}
        for kind, similarity in self._similarity.items():
            found = similarity if isinstance(similarity, str) else [similarity.values, similarity.scales]
            with whole_file(self._folder / f"similarity_{kind}_{idist.get_rank()}.json") as partial:
                partial.write_text(json.dumps(found))
        idist.barrier()
        if idist.get_rank() == 0:
            sets = sets_of(
                {name: self._summaries(kind) for kind, name in (("real", "real"), ("synthetic", self.name))},
                self.comparing.seed,
            )
            models = {self.name: sets[self.name]}
            comparison = compare(sets["real"], models, self.spaces, self.comparing, self.unit)
            diversity, warnings = self._diversity()
            truth = self.truth()
            layers = sets["real"].layer_summary.layers
            settings = {"layers": layers, "seed": self.comparing.seed, "resamples": self.comparing.resamples}
            report = Report(
                comparison, sets, settings | self.settings, truth, diversity, warnings, self.unit, labels=labels
            )
            write_report(self.output_dir, report)
            numbers = self._numbers(comparison, truth, diversity)
            self._log(comparison)
            shutil.rmtree(self._folder, ignore_errors=True)
        idist.barrier()
        return numbers

    def truth(self) -> dict[str, dict[str, float]]:
        """Errors by method where the truth is known; none here."""
        return {}

    def next_name(self) -> str:
        """A name for what this process makes next, unlike those of other processes."""
        name = f"synthetic_{self._made:05d}_{idist.get_rank():03d}"
        self._made += 1
        return name

    def _keep(self, kind: str, name: str, image: torch.Tensor, spacing: Sequence[float] | None) -> None:
        volume = signed_volume(image, f"a {kind} image")
        summary = summary_of_tensor(volume, name, self.spaces, self.comparing.layers, spacing, self.unit)
        self._kept[kind].save(re.sub(r"[^-.#=+A-Za-z0-9]", "_", name), summary.state())
        similarity = self._similarity.get(kind)
        if isinstance(similarity, SuccessiveSimilarity):
            try:
                similarity.add(volume)
            except ValueError as error:  # small images, or of different shape: all else can still be measured
                self._similarity[kind] = str(error)

    def _summaries(self, kind: str) -> list[ImageSummary]:
        """What all processes have kept of a set."""
        cache = self._kept[kind]
        kept = {name: cache.load(name) for name in cache.names()}
        if damaged := [key for key, state in kept.items() if state is None]:
            raise OSError(f"what was kept of {', '.join(damaged)} in {self._folder} is damaged; evaluate again")
        return [ImageSummary.of_state(state, key) for key, state in kept.items()]

    def _diversity(self) -> tuple[dict[str, Diversity], list[str]]:
        """MS-SSIM within both sets, from what all processes have found, and sentences on what prevents it."""
        result, warnings = {}, []
        for kind in self._similarity:
            name = self.name if kind == "synthetic" else kind
            files = sorted(self._folder.glob(f"similarity_{kind}_*.json"))
            found = [json.loads(path.read_text()) for path in files]
            reasons = [reason for reason in found if isinstance(reason, str)]
            values = [] if reasons else [value for values, _ in found for value in values]
            if values:
                result[name] = diversity_of(values, max(scales for _, scales in found))
            else:
                reason = reasons[0] if reasons else "no process has two of its images"
                warnings.append(f"the diversity of {name} is not measured: {reason}")
                logger.warning("%s", warnings[-1])
        return result, warnings

    def _numbers(
        self,
        comparison: Comparison,
        truth: Mapping[str, Mapping[str, float]],
        diversity: Mapping[str, Diversity],
    ) -> dict[str, float]:
        """What was measured, without what could not be."""
        found = {
            f"{name}/{metric}": score.value
            for name, space in comparison.spaces.items()
            for metric, score in space.models[self.name].items()
        }
        found |= dict(truth.get("translation", {}))
        found |= {"ms_ssim": diversity[self.name].ms_ssim} if self.name in diversity else {}
        return {key: float(value) for key, value in found.items() if value is not None}

    def _log(self, comparison: Comparison) -> None:
        for name, space in comparison.spaces.items():
            numbers = {metric: score.value for metric, score in space.models[self.name].items()}
            logger.info("%s in feature space %s: %s", self.name, name, numbers)
