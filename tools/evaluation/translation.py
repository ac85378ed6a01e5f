"""The evaluation of MR-to-CT translation inside a bundle: layers against real CT, and, on phantoms, errors in HU."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine
from monai.data import MetaTensor
from torch.utils.data import Dataset

from tools.evaluation.report_handler import EvaluationReport
from tools.features.space import FeatureSpace
from tools.files import whole_file
from tools.metrics.baselines import best_constants, matched_histogram
from tools.metrics.consistency import through_plane_change
from tools.metrics.paired import all_errors, body_mask
from tools.transforms.squares import GRID_SQUARE, ToSourceGridd, from_squares, to_squares
from tools.transforms.truth import load_on_grid, name_of_truth
from tools.transforms.window import Window

logger = logging.getLogger(__name__)

REFERENCE_VOXELS = 1_000_000
"""Number of voxels of real CT, drawn evenly, that histogram matching takes its distribution from."""


class Translated(NamedTuple):
    """A translated study whose reference CT is known, and what its errors are computed from."""

    study: str
    name: str
    """Name of the reference CT."""
    source: str
    """Path of the first MR modality."""
    square: list[int]
    size: int
    """Place of the network's slices in the MR's pixels, and their side in their own."""
    hu: np.ndarray
    """[axial, H, W], on the MR's grid."""


class TranslationReport(EvaluationReport):
    """`EvaluationReport` of an evaluator that translates MR studies, with errors in HU where the truth is known.

    The real volumes are CT of other patients (Crespi et al., 4.1). Where the truth is known, as of phantoms, the report
    has errors of the network and of two baselines (`tools.metrics.baselines`), on the MR's own grid, and what of them
    resizing slices alone costs: means over studies, and `truth.json` with those of every study.

    Args:
        output_dir: folder for the files.
        real: CT, items with "image" [1, axial, S, S] in [-1, 1].
        spaces: feature spaces.
        window: HU that -1 and 1 stand for.
        truth: "ct", "labels" and "classes" by id of the MR, see `tools.data.true_ct`; empty where there are none.
        **options: options of `EvaluationReport`.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        real: Dataset,
        spaces: Sequence[FeatureSpace],
        window: Window | Sequence[float],
        truth: Mapping[str, dict],
        **options: Any,
    ) -> None:
        super().__init__(output_dir, real, spaces, window=window, **options)
        self.window = Window.of(window)
        self.known = dict(truth)
        self._translated: list[Translated] = []
        self._reference: list[np.ndarray] = []

    def attach(self, engine: Engine) -> None:
        if idist.get_world_size() > 1:
            raise ValueError("a translation is evaluated in one process; leave multi_gpu_train.json out")
        super().attach(engine)

    def take_real(self, name: str, item: Mapping[str, Any]) -> None:
        super().take_real(name, item)
        voxels = self._hu(np.asarray(item[self.real_key])).ravel()
        self._reference.append(voxels[:: max(1, voxels.size // (REFERENCE_VOXELS // 10))])

    def start(self, engine: Engine) -> None:
        self._translated, self._reference = [], []
        super().start(engine)

    def collect(self, engine: Engine) -> None:
        for item, batch in zip(engine.state.output, _items(engine.state.batch), strict=True):
            self.take_synthetic(batch["id"], item["pred"], batch["image"].pixdim.tolist())
            if (name := name_of_truth(self.known, batch["id"])) is not None:
                back = ToSourceGridd("pred")({"image": batch["image"], "pred": item["pred"].cpu()})["pred"]
                meta = batch["image"].meta
                one = Translated(
                    study=batch["id"],
                    name=name,
                    source=str(meta["filename_or_obj"]),
                    square=[int(n) for n in meta[GRID_SQUARE]],
                    size=batch["image"].shape[-1],
                    hu=self._hu(np.asarray(back[0])),
                )
                self._translated.append(one)

    def truth(self) -> dict[str, dict[str, float]]:
        """Errors of the network and of the baselines; all studies' go to `truth.json`."""
        if not self._translated:
            return {}
        reference = np.concatenate(self._reference)
        studies = {}
        for one in self._translated:
            mr = load_on_grid(one.source)
            true_ct = load_on_grid(self.known[one.name]["ct"], mr, "bilinear")
            resized = self._resized(true_ct, one.square, one.size)
            studies[one.study] = judge(one.hu, true_ct, mr, reference, self._classes(one.name, mr), resized)
        methods = {
            method: _mean([study[method] for study in studies.values()]) for method in next(iter(studies.values()))
        }
        with whole_file(self.output_dir / "truth.json") as partial:
            partial.write_text(json.dumps({"mean": methods, "studies": studies}, indent=2) + "\n", encoding="utf-8")
        for method, numbers in methods.items():
            shown = ", ".join(f"{k[4:]} {v:.1f}" for k, v in numbers.items() if k.startswith("mae_"))
            logger.info("MAE of %s in HU over %d studies: %s", method, len(studies), shown)
        return methods

    def _classes(self, name: str, mr: MetaTensor) -> dict[str, np.ndarray]:
        labels = np.asarray(load_on_grid(self.known[name]["labels"], mr, "nearest")[0]).round().astype(int)
        names = {int(label): tissue for label, tissue in self.known[name]["classes"].items()}
        return {t: np.isin(labels, [k for k, v in names.items() if v == t]) for t in sorted(set(names.values()))}

    def _resized(self, true_ct: MetaTensor, square: list[int], size: int) -> np.ndarray:
        """What is left of the truth when it goes to the network's slices and back, through no network."""
        scaled = self.window.scale(true_ct.as_tensor().clamp(*self.window))
        back = from_squares(to_squares(scaled, square, size), square, true_ct.shape[2:])
        return self._hu(np.asarray(back[0]))

    def _hu(self, image: np.ndarray) -> np.ndarray:
        return self.window.unscale(np.clip(image, -1, 1))


def judge(
    synthetic: np.ndarray,
    truth: MetaTensor,
    mr: MetaTensor,
    reference: np.ndarray,
    classes: Mapping[str, np.ndarray] | None = None,
    resized_truth: np.ndarray | None = None,
) -> dict[str, dict[str, float]]:
    """Errors of a translated study and of the baselines, all on the MR's grid.

    Args:
        synthetic: HU [axial, H, W].
        truth: reference CT in HU, [1, axial, H, W].
        mr: first MR modality, [1, axial, H, W].
        reference: HU of real CT of others, for histogram matching.
        classes: masks of tissues; None takes those of the true HU.
        resized_truth: true HU after resizing to the network's slices and back: no network can be expected to do better.

    Returns:
        method ("translation", "histogram_matching", "best_constants", "resized_truth") -> mae_<tissue>, me_<tissue>,
        psnr, ssim, path_length_mm and through_plane_change, the latter relative to the truth's.
    """
    true_hu, intensity = np.asarray(truth[0], np.float64), np.asarray(mr[0], np.float64)
    body = body_mask(true_hu)
    methods = {
        "translation": synthetic,
        "histogram_matching": matched_histogram(intensity, reference),
        "best_constants": best_constants(intensity, true_hu),
    }
    if resized_truth is not None:
        methods["resized_truth"] = resized_truth
    own_change = through_plane_change(true_hu, body)
    return {
        method: {
            **all_errors(true_hu, hu, truth.pixdim.tolist(), classes),
            "through_plane_change": through_plane_change(hu, body) / own_change,
        }
        for method, hu in methods.items()
    }


def _items(batch: Mapping) -> list[dict]:
    """The items of a batch that an evaluator has already taken apart, or that it has not."""
    return list(batch) if isinstance(batch, list) else [{k: v[0] for k, v in batch.items()}]


def _mean(numbers: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every number over the studies that have it."""
    names = dict.fromkeys(name for study in numbers for name in study)
    return {name: float(np.mean([study[name] for study in numbers if name in study])) for name in names}
