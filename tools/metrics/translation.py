"""The evaluation of MR-to-CT translation inside a bundle: layers against real CT, and, on phantoms, errors in HU."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.transforms import ResampleToMatch

from tools.files import whole_file
from tools.metrics.baselines import best_constants, matched_histogram
from tools.metrics.consistency import through_plane_change
from tools.metrics.layer_profile import LayerProfile, compare_layers
from tools.metrics.paired import body_mask, path_length_difference, psnr, ssim, tissue_errors
from tools.transforms.slices import LoadStudyd, ToSourceGridd

logger = logging.getLogger(__name__)

REFERENCE_VOXELS = 1_000_000
"""Of real CT, drawn evenly, that histogram matching takes its distribution from."""


class TranslationReport:
    """Ignite handler of an evaluator that translates MR studies beside real CT of others.

    Collects from every item "pred" and "label", [1, axial, S, S] in [-1, 1], and at the end writes

    - `layers.json` and `layers.csv`: the paper's scores in ten layers, synthetic against real CT, beside one half of
      the real CT against the other (Crespi et al., 4.1), which needs two real volumes of ten slices or more;
    - where the truth is known, `truth.json` and `truth.csv`: errors in HU on the MR's own grid, of the network and of
      two baselines (`tools.metrics.baselines`), means over studies.

    Args:
        output_dir: for the files.
        window: HU that -1 and 1 stand for.
        truth: MR id -> "ct", "labels" and "classes", see `tools.data.true_ct`; empty where nobody knows it.
    """

    def __init__(self, output_dir: str | os.PathLike, window: tuple[float, float], truth: Mapping[str, dict]) -> None:
        self.output_dir = Path(output_dir)
        self.window = (float(window[0]), float(window[1]))
        self.truth = dict(truth)
        self._real: tuple[LayerProfile, LayerProfile] = (LayerProfile(), LayerProfile())
        self._synthetic = LayerProfile()
        self._pairs: list[tuple[str, str, str, np.ndarray]] = []
        self._reference: list[np.ndarray] = []

    def attach(self, engine: Engine) -> None:
        if idist.get_world_size() > 1:
            raise ValueError("evaluate.json runs in one process; leave multi_gpu_train.json out")
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def collect(self, engine: Engine) -> None:
        """Take in the volumes of an iteration."""
        for item, batch in zip(engine.state.output, _items(engine.state.batch), strict=True):
            real = np.asarray(torch.as_tensor(item["label"]).cpu())[0]
            self._synthetic.add(np.asarray(torch.as_tensor(item["pred"]).cpu())[0])
            self._real[sum(half.volumes for half in self._real) % 2].add(real)
            voxels = self._hu(real).ravel()
            self._reference.append(voxels[:: max(1, voxels.size // (REFERENCE_VOXELS // 10))])
            if (name := self._known(batch["id"])) is not None:
                back = ToSourceGridd("pred")({"image": batch["image"], "pred": item["pred"].cpu()})["pred"]
                source = str(batch["image"].meta["filename_or_obj"])
                self._pairs.append((batch["id"], name, source, self._hu(np.asarray(back[0]))))

    def write(self, engine: Engine) -> None:
        """Write the files, and say in the log what they hold."""
        layers = compare_layers(self._real, self._synthetic)
        _write_json(self.output_dir / "layers.json", layers)
        rows = [
            (name, layer + 1, score, baseline)
            for name, scores in layers.items()
            for layer, (score, baseline) in enumerate(zip(scores["scores"], scores["baseline"], strict=True))
        ]
        _write_csv(self.output_dir / "layers.csv", ("metric", "layer", "score", "real_against_real"), rows)
        for name, scores in layers.items():
            logger.info("%s: %.4g, real against real %.4g", name, scores["average"], scores["baseline_average"])
        if self._pairs:
            self._write_truth()

    def _write_truth(self) -> None:
        reference = np.concatenate(self._reference)
        studies = []
        for _, name, source, hu in self._pairs:
            mr = _load(source)
            truth = _load(self.truth[name]["ct"], mr, "bilinear")
            studies.append(judge(hu, truth, mr, reference, self._classes(name, mr)))
        methods = {method: _mean([study[method] for study in studies]) for method in studies[0]}
        content = {"studies": {pair[0]: study for pair, study in zip(self._pairs, studies, strict=True)}}
        _write_json(self.output_dir / "truth.json", {"mean": methods, **content})
        names = sorted({name for numbers in methods.values() for name in numbers})
        rows = [(name, *(numbers.get(name, "") for numbers in methods.values())) for name in names]
        _write_csv(self.output_dir / "truth.csv", ("metric", *methods), rows)
        for method, numbers in methods.items():
            shown = ", ".join(f"{k[4:]} {v:.1f}" for k, v in numbers.items() if k.startswith("mae_"))
            logger.info("MAE of %s in HU over %d studies: %s", method, len(studies), shown)

    def _known(self, study: str) -> str | None:
        """The name under which the truth of a study is known, which may be one modality of it ("MR/7/in_phase")."""
        return next((name for name in self.truth if study == name or study.startswith(f"{name}/")), None)

    def _classes(self, name: str, mr: MetaTensor) -> dict[str, np.ndarray]:
        labels = np.asarray(_load(self.truth[name]["labels"], mr, "nearest")[0]).round().astype(int)
        names = {int(label): tissue for label, tissue in self.truth[name]["classes"].items()}
        return {t: np.isin(labels, [k for k, v in names.items() if v == t]) for t in sorted(set(names.values()))}

    def _hu(self, image: np.ndarray) -> np.ndarray:
        low, high = self.window
        return (np.clip(image, -1, 1) + 1) / 2 * (high - low) + low


def judge(
    synthetic: np.ndarray,
    truth: MetaTensor,
    mr: MetaTensor,
    reference: np.ndarray,
    classes: Mapping[str, np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """Errors of a translated study and of the baselines, all on the MR's grid.

    Args:
        synthetic: HU [axial, H, W].
        truth, mr: true CT in HU and the first MR modality, [1, axial, H, W].
        reference: HU of real CT of others, for histogram matching.
        classes: masks of tissues; None takes those of the true HU.

    Returns:
        method ("translation", "histogram_matching", "best_constants") -> mae_<tissue>, me_<tissue>, psnr, ssim,
        path_length_mm and through_plane_change, the latter relative to the truth's.
    """
    true_hu, intensity = np.asarray(truth[0], np.float64), np.asarray(mr[0], np.float64)
    body = body_mask(true_hu)
    methods = {
        "translation": synthetic,
        "histogram_matching": matched_histogram(intensity, reference),
        "best_constants": best_constants(intensity, true_hu),
    }
    spacing, span = truth.pixdim.tolist(), float(np.ptp(true_hu))
    own_change = through_plane_change(true_hu, body)
    result = {}
    for method, hu in methods.items():
        errors = tissue_errors(true_hu, hu, classes)
        result[method] = {
            **{f"mae_{tissue}": e["mae"] for tissue, e in errors.items()},
            **{f"me_{tissue}": e["me"] for tissue, e in errors.items()},
            "psnr": psnr(true_hu, hu, span),
            "ssim": ssim(true_hu, hu, span),
            "path_length_mm": path_length_difference(true_hu, hu, spacing)["mean_absolute"],
            "through_plane_change": through_plane_change(hu, body) / own_change,
        }
    return result


def _load(path: str, grid: MetaTensor | None = None, mode: str = "bilinear") -> MetaTensor:
    """A volume [1, axial, H, W], on the grid of another if one is given; beyond its own ends it goes on as there."""
    volume = LoadStudyd("image")({"image": path})["image"]
    if grid is None or (volume.shape == grid.shape and torch.allclose(volume.affine, grid.affine, atol=1e-3)):
        return volume
    return ResampleToMatch(mode=mode, padding_mode="border")(volume, img_dst=grid)


def _items(batch: Mapping) -> list[dict]:
    """The items of a batch that an evaluator has already taken apart, or that it has not."""
    return list(batch) if isinstance(batch, list) else [{k: v[0] for k, v in batch.items()}]


def _mean(numbers: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every number over the studies that have it."""
    names = dict.fromkeys(name for study in numbers for name in study)
    return {name: float(np.mean([study[name] for study in numbers if name in study])) for name in names}


def _write_json(path: Path, content: dict) -> None:
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_csv(path: Path, header: tuple, rows: list[tuple]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    with whole_file(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")
