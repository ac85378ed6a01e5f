"""Whether bundles can take part, before anything is trained: their sizes, their data, and that these are the same."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from tqdm import tqdm

from tools.benchmark.configs import bundle_names, kind, read_config
from tools.benchmark.training import learnable_parameters
from tools.compare.configs import ENDLESS, config_of, overrides_for, stages_of, train_config, unused
from tools.compare.design import Settings
from tools.errors import causes, did_you_mean
from tools.evaluation.sets import FEWEST

SHOWN = 3
"""Names of images in a message."""


@dataclass(frozen=True)
class Entrant:
    """A bundle that takes part.

    Attributes:
        bundle: name of the bundle.
        own: entries of its train.json for it.
        data: entries that say where its data are.
        parameters: number of its learnable parameters, in all networks.
    """

    bundle: str
    own: Mapping[str, Any]
    data: Mapping[str, str]
    parameters: int


def entrants(bundles: Sequence[str], settings: Settings, data_root: Path) -> list[Entrant]:
    """All bundles, with what they are trained on, which is preprocessed now.

    Args:
        bundles: names of the bundles.
        settings: settings of the comparison.
        data_root: folder for phantoms and for preprocessed data.

    Raises:
        ValueError: one of them cannot take part, with the reason; or they would not be trained on the same images.
    """
    _check_names(bundles, settings)
    configs = {bundle: train_config(bundle) for bundle in bundles}
    own = {bundle: overrides_for(bundle, configs[bundle], settings.overrides) for bundle in bundles}
    for bundle in bundles:
        _check_size(bundle, own[bundle])
    found, images = [], {}
    for bundle in tqdm(bundles, desc="Data", unit="bundle", disable=None):
        entrant, images[bundle] = _prepared(bundle, own[bundle], settings, data_root)
        _check_same(bundle, images[bundle], bundles[0], images[bundles[0]])
        found.append(entrant)
    return found


def _check_names(bundles: Sequence[str], settings: Settings) -> None:
    known = bundle_names()
    if not bundles or len(set(bundles)) < len(bundles):
        raise ValueError(f"bundles is {','.join(bundles)!r}, expected different names of bundles that train")
    for bundle in bundles:
        if bundle not in known:
            raise ValueError(
                f"there is no bundle {bundle!r} that trains.{did_you_mean(bundle, known)} There are {', '.join(known)}"
            )
        if kind(bundle) != "generate" or not config_of(bundle, "evaluate").is_file():
            raise ValueError(
                f"bundle {bundle} makes images from other images; a comparison is of those that make them from noise"
            )
    lacking = unused(settings.overrides, bundles)
    if nobody := [key for key, those in lacking.items() if len(those) == len(bundles)]:
        raise ValueError(f"overrides: none of the bundles has {nobody[0]!r} in its train.json")


def _check_size(bundle: str, own: Mapping[str, Any]) -> None:
    """A moment for each bundle, before any data are read."""
    size = own.get("image_size")
    if size is None:
        size = read_config(bundle, own).get_parsed_content("image_size")
    try:
        learnable_parameters(bundle, size, own)
    except ValueError as error:
        raise ValueError(f"{error}. It cannot take part") from error


def _prepared(
    bundle: str, own: Mapping[str, Any], settings: Settings, data_root: Path
) -> tuple[Entrant, dict[str, list[str]]]:
    """A bundle with its data, and the ids of its images by section; all that a training builds is built once."""
    places = {"cache_dir": str(data_root / "cache")}
    if settings.dataset_dir is not None:
        places["dataset_dir"] = settings.dataset_dir
    set_here = {**own, **places, "bundle_root": str(data_root), "device": "cpu"}
    try:
        parser = read_config(bundle, set_here)
        # phantoms are made here, once for all runs
        places["data_dir"] = parser.get_parsed_content("data_dir")
        parser.get_parsed_content("check")
        parameters: dict[int, int] = {}
        for stage in stages_of(train_config(bundle)):
            parser[f"{stage}#handlers"] = []
            trainer = parser.get_parsed_content(f"{stage}#trainer")
            trainer.prepare_for(ENDLESS)  # networks that grow have grown by then
            parameters |= {id(p): p.numel() for network in trainer.networks.values() for p in network.parameters()}
        held_out = len(parser.get_parsed_content("validate#dataset"))  # of one archive, all its pictures
        images = {section: _ids(parser, section) for section in ("train", "val")}
        batch = parser.get_parsed_content("batch_size")
    except Exception as error:  # whatever a network, a dataset or a transform raises
        reason = causes(error)[-1]
        raise ValueError(f"bundle {bundle} cannot take part: {type(reason).__name__}: {reason}") from error
    finally:
        gc.collect()
    if held_out < FEWEST:
        raise ValueError(
            f"bundle {bundle} has {held_out} images that it is not trained on, and a comparison needs "
            f"{FEWEST} or more; give more data, or more of it for validation (--overrides)"
        )
    if settings.images is not None and settings.images % batch:
        raise ValueError(
            f"images is {settings.images}, which is no multiple of the batch of {bundle}, {batch}: equal images for "
            "all need one that every batch divides, or a --batch_size for all"
        )
    return Entrant(bundle, own, places, sum(parameters.values())), images


def _ids(parser: ConfigParser, section: str) -> list[str]:
    return sorted(str(item["id"]) for item in parser.get_parsed_content(f"{section}_data"))


def _check_same(bundle: str, images: Mapping[str, list[str]], first: str, others: Mapping[str, list[str]]) -> None:
    for section, words in (("train", "trained"), ("val", "validated")):
        if images[section] != others[section]:
            odd = sorted({*images[section]} ^ {*others[section]})
            raise ValueError(
                f"bundles {first} and {bundle} would be {words} on other images ({len(others[section])} and "
                f"{len(images[section])}; {', '.join(odd[:SHOWN])} in one of them alone); compare bundles of one kind "
                "of data, with one --dataset_dir"
            )
