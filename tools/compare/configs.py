"""The configs of a run: the bundle's own, with an overlay that stops its training at the budget."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from tools.benchmark.configs import BUNDLES, bundle_names
from tools.compare.design import Run, RunFolder, Settings, moment_name

ENDLESS = 10**9
"""Epochs of a training that ends when its time is spent."""

SAVE_SECONDS = 300.0
"""Seconds between two checkpoints: what a killed run loses at the most."""

CHECKPOINT = "tools.engines.checkpoint.TrainingCheckpoint"
SILENT = ("tools.engines.validation.Validation", "tools.engines.logging.Progress")
"""Handlers that a run goes without: its images are measured by the comparison, and its output goes to a file."""


def config_of(bundle: str, name: str = "train") -> Path:
    """Return the file of a bundle's config."""
    return BUNDLES / bundle / "configs" / f"{name}.json"


def train_config(bundle: str) -> dict[str, Any]:
    """The content of a bundle's train.json."""
    return ConfigParser.load_config_file(config_of(bundle))


def stages_of(config: Mapping[str, Any]) -> list[str]:
    """Sections of a train.json that have a trainer, in the order in which they are run; the last is "train"."""
    return [found[1] for line in config["run"] if (found := re.search(r"@(\w+)#trainer\.run\(\)", line))]


def overrides_for(bundle: str, config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Entries for one bundle: those that it has, and over them those that stand under its own name.

    Those under other names are not for it: a comparison goes on with fewer bundles by the same settings.

    Args:
        bundle: name of the bundle.
        config: content of its train.json.
        given: entries by id, and under names of bundles further ones.

    Raises:
        ValueError: the bundle lacks an entry that was given under its name.
    """
    own = given.get(bundle, {})
    if missing := [key for key in own if _root(key) not in config]:
        raise ValueError(f"overrides: bundle {bundle} has no {missing[0]!r} in its train.json")
    names = bundle_names()
    general = {key: value for key, value in given.items() if key not in names and _root(key) in config}
    return general | dict(own)


def unused(given: Mapping[str, Any], bundles: Sequence[str]) -> dict[str, list[str]]:
    """Entry -> bundles that have none of that name and go without it."""
    found, names = {}, bundle_names()
    for key in given:
        lacking = [bundle for bundle in bundles if _root(key) not in train_config(bundle)]
        if key not in names and lacking:
            found[key] = lacking
    return found


def overlay(run: Run, settings: Settings, folder: RunFolder, own: Mapping[str, Any], data: Mapping[str, str]) -> dict:
    """What is laid over a bundle's train.json: the run's places, seed and data, and the end of its training.

    Args:
        run: bundle and seed.
        settings: settings of the comparison.
        folder: folder of the run.
        own: entries of train.json for this bundle.
        data: entries that say where the data are.
    """
    config = train_config(run.bundle)
    stages = stages_of(config)
    laid: dict[str, Any] = {**own, **data, "seed": run.seed, "bundle_root": str(folder.path), "resume": "auto"}
    ends = [*(settings.first_stage * n / max(1, len(stages) - 1) for n in range(len(stages))), 1.0]
    for number, stage in enumerate(stages):
        earlier = stages[number - 1] if number else None
        laid |= _stage(config, stage, settings, folder, (ends[number], ends[number + 1]), earlier)
    return laid


def _stage(
    config: Mapping[str, Any],
    stage: str,
    settings: Settings,
    folder: RunFolder,
    part: tuple[float, float],
    earlier: str | None,
) -> dict[str, Any]:
    """What is laid over the section of one stage, which has a part of the budget, from one share to another."""
    handlers = config[stage]["handlers"]
    targets = [handler["_target_"] for handler in handlers]
    place = targets.index(CHECKPOINT)
    checkpoint = f"{stage}#handlers#{place}"
    begin, end = part
    # images can be made in the last stage alone, and before anything is trained
    moments = {moment_name(s): s for s in settings.moments if end == 1 and s > begin} | ({} if earlier else {"0": 0.0})
    budget = {
        "_target_": "tools.engines.budget.Budget",
        "directory": str(folder.moment("0").parent),
        "models": "@models",
        "settings": "@settings",
        "seconds": None if settings.seconds is None else settings.seconds * end,
        "images": None if settings.images is None else round(settings.images * end),
        "moments": moments,
        "clock": settings.clock,
        "earlier": f"@{earlier}#budget" if earlier else None,
    }
    laid: dict[str, Any] = {
        f"{stage}#budget": budget,
        f"{stage}#trainer#max_epochs": ENDLESS,
        f"{checkpoint}#also": {**handlers[place].get("also", {}), "budget": f"@{stage}#budget"},
        f"{checkpoint}#save_interval": ENDLESS,
        f"{checkpoint}#save_seconds": SAVE_SECONDS,
        f"{checkpoint}#n_saved": 1,
        f"+{stage}#handlers": [f"@{stage}#budget"],
    }
    laid |= {f"{stage}#handlers#{n}#_disabled_": True for n, target in enumerate(targets) if target in SILENT}
    if settings.images is not None and "@iterations" in str(config[stage]["trainer"]["max_epochs"]):
        # schedules over the whole run know its length
        del laid[f"{stage}#trainer#max_epochs"]
        laid["iterations"] = f"$-(-{round(settings.images * (end - begin))} // @batch_size)"
    return laid


def _root(key: str) -> str:
    return key.split("#")[0].split("::")[0]
