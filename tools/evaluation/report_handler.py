"""The evaluation of a bundle: what its network makes against real volumes, in the report that the command writes."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from torch.utils.data import Dataset
from tqdm import tqdm

from tools.evaluation.comparison import compare
from tools.evaluation.profile import ImageProfile, profile_of, saved_profiles, sets_of
from tools.evaluation.report import write_report
from tools.evaluation.unit import SIGNED, Unit
from tools.features.space import FeatureSpace
from tools.files import whole_file
from tools.metrics.diversity import PAIRS, SuccessiveSimilarity, diversity_of
from tools.metrics.layers import LAYERS

logger = logging.getLogger(__name__)


class EvaluationReport:
    """Ignite handler of an evaluator that makes volumes: writes `report.json`, `report.csv` and `report.html`.

    Real and synthetic volumes are counted separately: the real ones are a dataset of their own, the synthetic ones
    what the evaluator makes, however many. Each is reduced as soon as it is there (`tools.evaluation.profile`). Several
    processes share the work; the first one writes, and has the numbers in `engine.state.metrics`, for whoever runs the
    evaluator: "<feature space>/<metric>", "ms_ssim", and the network's errors where the truth is known.

    Args:
        output_dir: folder for the report; profiles lie there until it is written.
        real: items with volumes [1, D, H, W] in [-1, 1], axial first.
        spaces: feature spaces, see `tools.features.space`.
        real_key: key of the real volumes.
        name: name of the model in the report.
        resamples: number of bootstrap samples for the intervals of distances; 0 for none.
        pairs: largest number of pairs of successive volumes of a set, in each process, whose MS-SSIM is the measure of
            diversity; 0 leaves it out. Real volumes come in an order drawn from the seed, since neighbours in a list
            may show one patient.
        layers: number of axial layers.
        seed: seed of halves and resampling.
        settings: further settings that a reader of the report should know.
        window: values that -1 and 1 stand for, which the report then speaks of; None leaves them in [-1, 1].
        unit: unit of the window, "HU" or other words.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        real: Dataset,
        spaces: Sequence[FeatureSpace],
        real_key: str = "image",
        name: str = "synthetic",
        resamples: int = 100,
        pairs: int = PAIRS,
        layers: int = LAYERS,
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        window: Sequence[float] | None = None,
        unit: str = "HU",
    ) -> None:
        self.output_dir = Path(output_dir)
        self.real = real
        self.spaces = list(spaces)
        self.real_key = real_key
        self.name = name
        self.resamples = resamples
        self.pairs = pairs
        self.layers = layers
        self.seed = seed
        self.settings = dict(settings or {})
        self.unit = SIGNED if window is None else Unit(unit, (float(window[0]), float(window[1])))
        self._folders = {kind: self.output_dir / ".profiles" / kind for kind in ("real", "synthetic")}
        self._made = 0
        self._similarity: dict[str, SuccessiveSimilarity | str] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Forget what an interrupted evaluation left, and look at the real volumes."""
        if idist.get_rank() == 0:
            shutil.rmtree(self.output_dir / ".profiles", ignore_errors=True)
        idist.barrier()
        self._made = 0
        if self.pairs:
            self._similarity = {kind: SuccessiveSimilarity(pairs=self.pairs) for kind in self._folders}
        order = np.random.default_rng(self.seed).permutation(len(self.real)).tolist()
        mine = order[idist.get_rank() :: idist.get_world_size()]
        for index in tqdm(mine, desc="Real volumes", unit="volume", leave=False, disable=None):
            self.take_real(f"real_{index:05d}", self.real[index])

    def take_real(self, name: str, item: Mapping[str, Any]) -> None:
        """Reduce a real volume."""
        volume = item[self.real_key]
        self._keep("real", name, volume, volume.pixdim.tolist() if isinstance(volume, MetaTensor) else None)

    def collect(self, engine: Engine) -> None:
        """Reduce what an iteration has made."""
        for item in engine.state.output:
            self.take_synthetic(self._next_name(), item["pred"])

    def take_synthetic(self, name: str, volume: torch.Tensor, spacing: Sequence[float] | None = None) -> None:
        """Reduce a synthetic volume; ``spacing`` is (D, H, W) in mm, where it is known."""
        self._keep("synthetic", name, volume, spacing)

    def finish(self, engine: Engine) -> None:
        """Write the report."""
        for kind, similarity in self._similarity.items():
            found = similarity if isinstance(similarity, str) else [similarity.values, similarity.scales]
            path = self.output_dir / ".profiles" / f"similarity_{kind}_{idist.get_rank()}.json"
            with whole_file(path) as partial:
                partial.write_text(json.dumps(found))
        idist.barrier()
        if idist.get_rank() == 0:
            profiles = {kind: saved_profiles(folder) for kind, folder in self._folders.items()}
            sets = sets_of({"real": profiles["real"], self.name: profiles["synthetic"]}, self.layers, self.seed)
            real = sets.pop("real")
            comparison = compare(real, sets, self.spaces, self.resamples, self.seed, unit=self.unit)
            diversity = self._diversity(comparison["warnings"])
            settings = {"layers": self.layers, "seed": self.seed, "resamples": self.resamples, **self.settings}
            truth = self.truth()
            shown = {"real": real, **sets}
            write_report(self.output_dir, comparison, shown, settings, truth, diversity, unit=self.unit)
            engine.state.metrics |= self._numbers(comparison, truth, diversity)
            self._log(comparison)
            shutil.rmtree(self.output_dir / ".profiles", ignore_errors=True)
        idist.barrier()

    def truth(self) -> dict[str, dict[str, float]]:
        """Errors by method where the truth is known; none here."""
        return {}

    def _next_name(self) -> str:
        """A name for what this process makes next, unlike those of other processes."""
        name = f"synthetic_{self._made:05d}_{idist.get_rank():03d}"
        self._made += 1
        return name

    def _keep(self, kind: str, name: str, volume: torch.Tensor, spacing: Sequence[float] | None) -> ImageProfile:
        array = np.asarray(torch.as_tensor(volume).detach().float().cpu())
        if array.ndim != 4 or len(array) != 1:
            raise ValueError(f"expected {kind} volumes [1, D, H, W], got shape {array.shape}")
        device = volume.device if isinstance(volume, torch.Tensor) else "cpu"
        image = array[0].clip(-1, 1)
        ends = self.unit.value(float(image.min())), self.unit.value(float(image.max()))
        profile = profile_of(image, name, self.spaces, self.layers, spacing, ends, device)
        profile.save(self._folders[kind] / f"{re.sub(r'[^-.#=+A-Za-z0-9]', '_', name)}.npz")
        similarity = self._similarity.get(kind)
        if isinstance(similarity, SuccessiveSimilarity):
            try:
                similarity.add(torch.as_tensor(volume)[0].detach().float().clamp(-1, 1))
            except ValueError as error:  # small volumes, or of different shape: all else can still be measured
                self._similarity[kind] = str(error)
        return profile

    def _diversity(self, warnings: list[str]) -> dict[str, dict[str, Any]]:
        """MS-SSIM within both sets, from what all processes have found; what prevents it becomes a warning."""
        result = {}
        for kind in self._similarity:
            name = self.name if kind == "synthetic" else kind
            files = sorted((self.output_dir / ".profiles").glob(f"similarity_{kind}_*.json"))
            found = [json.loads(path.read_text()) for path in files]
            reasons = [reason for reason in found if isinstance(reason, str)]
            values = [] if reasons else [value for values, _ in found for value in values]
            if values:
                result[name] = diversity_of(values, max(scales for _, scales in found))._asdict()
            else:
                reason = reasons[0] if reasons else "no process has two of its volumes"
                warnings.append(f"the diversity of {name} is not measured: {reason}")
                logger.warning("%s", warnings[-1])
        return result

    def _numbers(self, comparison: Mapping, truth: Mapping, diversity: Mapping) -> dict[str, float]:
        """Return what was measured, without what could not be."""
        scores = {space: content["models"][self.name] for space, content in comparison["spaces"].items()}
        found = {f"{space}/{metric}": s["value"] for space, metrics in scores.items() for metric, s in metrics.items()}
        found |= dict(truth.get("translation", {}))
        found |= {"ms_ssim": diversity[self.name]["ms_ssim"]} if self.name in diversity else {}
        return {key: float(value) for key, value in found.items() if value is not None}

    def _log(self, comparison: Mapping[str, Any]) -> None:
        for space, content in comparison["spaces"].items():
            numbers = {m: v["value"] for m, v in content["models"][self.name].items()}
            logger.info("%s in feature space %s: %s", self.name, space, numbers)
