"""What a run's images come to: those of every moment of its training against real ones, in one file."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from monai.data import DataLoader
from torch.utils.data import Dataset, Subset

from tools.benchmark.machine import describe_machine, describe_versions
from tools.compare.configs import config_of
from tools.compare.design import Run, RunFolder, Settings, moment_name
from tools.engines.checkpoint import checkpoints
from tools.evaluation.command import FEATURES, FEATURES_OF_FLAT
from tools.evaluation.comparison import compare
from tools.evaluation.settings import ComparisonSettings
from tools.evaluation.summary import ImageSummary, SetSummary, sets_of, signed_volume, summary_of_tensor
from tools.evaluation.units import SIGNED, Unit
from tools.features.cache import ArrayCache
from tools.features.space import FeatureSpace
from tools.features.spaces import make_spaces
from tools.files import whole_file
from tools.transforms.flat import is_flat, spacing_of
from tools.transforms.window import Window

logger = logging.getLogger(__name__)

SEED = 0
"""Seed of the first image that is made at every moment of every run, and of the order of real images."""

REAL, FLOOR = "real", "training images"
"""Sets beside those of moments: real images that no run was trained on, and some that it was, as many as are made."""


@dataclass(frozen=True)
class Measuring:
    """How images become numbers.

    Attributes:
        spaces: feature spaces.
        unit: unit of the values.
        cache: summaries of images that are measured already.
        channel: number of the channel of a sample that is looked at.
    """

    spaces: Sequence[FeatureSpace]
    unit: Unit
    cache: ArrayCache
    channel: int = 0

    def summary(self, key: str, image: torch.Tensor, like: tuple[int, ...] | None = None) -> ImageSummary:
        """Measure one image of a sample [channels, (D,) H, W], once; one of a network that has not grown yet is
        interpolated to the size of real ones.
        """
        image = image[self.channel : self.channel + 1]
        volume = signed_volume(image, key)
        if like is not None and tuple(volume.shape) != like:
            volume = torch.nn.functional.interpolate(volume[None, None], like, mode="trilinear")[0, 0]
        found = summary_of_tensor(volume, key, self.spaces, None, spacing_of(image), self.unit)
        self.cache.save(key, found.state())
        return found

    def known(self, key: str) -> ImageSummary | None:
        """The summary of an image that was measured before."""
        state = self.cache.load(key)
        return None if state is None else ImageSummary.of_state(state, key)


def measure(folder: RunFolder) -> None:
    """Measure a run that is trained, and write what came out, then remove what it does not need any more.

    Warnings of the evaluation are left out: they are for the table, not for each run.

    Images that were measured by a process that was killed are not made again.

    Args:
        folder: folder of the run.
    """
    record = folder.read(RunFolder.RECORD)
    evaluation = logging.getLogger("tools.evaluation")
    level = evaluation.level
    evaluation.setLevel(logging.ERROR)
    try:
        _measure(folder, record)
    finally:
        evaluation.setLevel(level)


def _measure(folder: RunFolder, record: dict[str, Any]) -> None:
    run, settings = Run(record["bundle"], record["seed"]), Settings.of_record(record["settings"])
    names = [name for share in (0.0, *settings.moments) if folder.moment(name := moment_name(share)).is_file()]
    last = _parsed(run, folder, settings, names[-1])
    real = last.get_parsed_content("real")
    measuring = _measuring(last, real, settings, folder)
    number = settings.num_synthetic or len(real)
    sets = {REAL: _of_dataset(REAL, real, len(real), measuring)}
    like = sets[REAL][0].shape
    training = _parsed(run, folder, settings, names[-1], reference="training").get_parsed_content("real")
    sets[FLOOR] = _of_dataset(FLOOR, training, number, measuring)
    problems = {}
    for name in names:
        try:
            sets[name] = list(_of_moment(name, _parsed(run, folder, settings, name), measuring, like))
        except ValueError as error:  # of images that hold NaN, as an untrained network's may
            problems[name] = str(error)
    summaries = sets_of(sets, SEED)
    result = _compared(summaries, measuring, settings)
    moments = {name: folder.read(f"moments/{name}.json")["moment"] for name in names}
    _write_pictures(folder.path / RunFolder.PICTURES, summaries)
    folder.write(
        RunFolder.RESULT,
        {
            **record,
            "moments": moments,
            "problems": problems,
            "real_digest": _digest(sets[REAL]),
            "images": {name: len(of) for name, of in sets.items()},
            **result,
            "machine": describe_machine(torch.device("cpu") if not torch.cuda.is_available() else torch.device("cuda")),
            "versions": describe_versions(torch.device("cpu")),
        },
    )
    tidy(folder, names)


def tidy(folder: RunFolder, names: Sequence[str]) -> None:
    """Remove checkpoints, summaries, and the weights of all moments but the last: they take the most room."""
    for directory in (folder.path / "models", *(folder.path / "models").glob("*/")):
        for _, path in checkpoints(directory):
            path.unlink()
        for path in directory.glob("*_last.pt"):  # the weights of the last moment are the same
            path.unlink()
    for name in names[:-1]:
        folder.moment(name).unlink(missing_ok=True)
    for path in (folder.path / "summaries").glob("*.npz"):
        path.unlink()


def _parsed(run: Run, folder: RunFolder, settings: Settings, moment: str, reference: str = "validation"):
    """The bundle's evaluation with the weights of a moment, as a config of which nothing is built yet."""
    files = [config_of(run.bundle), folder.path / RunFolder.OVERLAY, config_of(run.bundle, "evaluate")]
    parser = ConfigParser(ConfigParser.load_config_files([str(file) for file in files]))
    laid: dict[str, Any] = {
        "ckpt_path": str(folder.moment(moment)),
        "reference": reference,
        "seed": SEED,
        "validate#handlers": [],
    }
    if settings.num_synthetic is not None:
        laid["num_synthetic"] = settings.num_synthetic
    for key, value in laid.items():
        parser[key] = value
    return parser


def _measuring(parser: ConfigParser, real: Dataset, settings: Settings, folder: RunFolder) -> Measuring:
    key = parser.get("report")
    window = parser.get_parsed_content("window") if "window" in key else None
    unit = SIGNED if window is None else Unit(key.get("unit", "HU"), Window.of(window))
    channel = 0
    if "image" in parser:
        channel = parser.get_parsed_content("sample_channels").names.index(parser.get_parsed_content("image"))
    flat = is_flat(signed_volume(real[0]["image"][channel : channel + 1], REAL).shape)
    names = settings.features or tuple((FEATURES_OF_FLAT if flat else FEATURES).split(","))
    cache = ArrayCache(folder.path / "summaries")
    return Measuring(make_spaces(names, settings.weights, SEED, flat), unit, cache, channel)


def _of_dataset(name: str, dataset: Dataset, number: int, measuring: Measuring) -> list[ImageSummary]:
    """Summaries of real images, in an order that follows from the seed, since neighbours may show one patient."""
    order = np.random.default_rng(SEED).permutation(len(dataset))[:number].tolist()
    keys = [f"{name.replace(' ', '_')}_{index:05d}" for index in order]
    return [
        measuring.known(key) or measuring.summary(key, dataset[index]["image"])
        for key, index in zip(keys, order, strict=True)
    ]


def _of_moment(name: str, parser: ConfigParser, measuring: Measuring, like: tuple[int, ...]) -> Iterator[ImageSummary]:
    """Summaries of what the weights of a moment make, one for each seed."""
    dataset = parser.get_parsed_content("validate#dataset")
    keys = [f"moment_{name}_{index:05d}" for index in range(len(dataset))]
    known = {key: found for key in keys if (found := measuring.known(key)) is not None}
    missing = [index for index, key in enumerate(keys) if key not in known]
    if missing:
        engine = parser.get_parsed_content("validate#evaluator")
        _load(Path(parser["ckpt_path"]), parser)
        engine.data_loader = DataLoader(Subset(dataset, missing), batch_size=1)
        places = iter(missing)

        def keep(engine):
            for item in engine.state.output:
                key = keys[next(places)]
                known[key] = measuring.summary(key, item["pred"], like)

        engine.add_event_handler(Events.ITERATION_COMPLETED, keep)
        engine.run()
    return (known[key] for key in keys)


def _load(path: Path, parser: ConfigParser) -> None:
    from tools.engines.weights import ModelCheckpointLoader

    ModelCheckpointLoader(str(path), parser.get_parsed_content("network")).load()


def _compared(sets: Mapping[str, SetSummary], measuring: Measuring, settings: Settings) -> dict[str, Any]:
    """Scores of all sets against the real one by feature space, as `report.json` of an evaluation has them."""
    models = {name: of for name, of in sets.items() if name != REAL}
    comparing = ComparisonSettings(seed=SEED, resamples=settings.resamples, pairs=0)
    found = compare(sets[REAL], models, measuring.spaces, comparing, measuring.unit).record()
    return {"spaces": found["spaces"], "warnings": found["warnings"]}


def _digest(real: Sequence[ImageSummary]) -> str:
    """Twelve digits that stand for the real images: runs of a table must have measured against the same."""
    content = hashlib.sha256()
    for one in sorted(real, key=lambda image: image.id):
        for name, view in sorted(one.views.items()):
            content.update(name.encode() + view.tobytes())
    return content.hexdigest()[:12]


def _write_pictures(path: Path, sets: Mapping[str, SetSummary]) -> None:
    views = {
        f"{name}/{number}/{view}": picture
        for name, of in sets.items()
        for number, shown in enumerate(of.views.values())
        for view, picture in shown.items()
    }
    with whole_file(path) as partial:
        np.savez_compressed(partial, **views)
