"""The collection in Python: which bundles there are, and volumes from them without a config or a folder of files.

    >>> from tools import collection
    >>> [bundle.name for bundle in collection.find("chest CT")]
    ['crf_gan_luna16', 'ha_gan_luna16']
    >>> volumes = collection.generate("crf_gan_luna16", n=4, seed=0)
    >>> volumes[0].shape, volumes[0].affine
    >>> loader = DataLoader(collection.as_dataset("crf_gan_luna16", n=1000), batch_size=2)

All of it also works for packed bundles that were unpacked into a folder of their own, ``folder="downloads"``. What runs
is this library; of a packed bundle the config and the weights are read. A config can run code: look at one that came
from elsewhere with ``python -m tools inspect`` first.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.bundle import ConfigParser
from monai.data import DataLoader, MetaTensor
from torch.utils.data import Dataset, Subset

from tools.engines.weights import last_weights

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"

SEARCHED = ("name", "task", "description", "data_source", "data_type", "image_classes", "label_classes", "pred_classes")
"""Keys of the metadata in which ``find`` looks."""

SYNONYMS = {"mri": "mr", "synthesis": "generation", "lung": "chest", "head": "brain"}


@dataclass(frozen=True)
class Bundle:
    """A bundle of the collection.

    Attributes:
        name: of its folder.
        folder: where it is.
    """

    name: str
    folder: Path

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The content of `configs/metadata.json`."""
        return json.loads((self.folder / "configs" / "metadata.json").read_text())

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of `configs/inference.json`."""
        return json.loads((self.folder / "configs" / "inference.json").read_text())

    @property
    def is_trained(self) -> bool:
        """Whether there are weights in the bundle's folder."""
        return (self.folder / "models" / "model.pt").is_file()

    @property
    def generates(self) -> bool:
        """Whether volumes come from seeds, not from other volumes."""
        return self.metadata.get("kind") == "generate"

    def words(self) -> set[str]:
        """The words that describe it, in lower case."""
        text = " ".join([self.name, *(str(self.metadata.get(key, "")) for key in SEARCHED)])
        return set(_words(text))


def bundles(folder: str | os.PathLike | None = None) -> list[Bundle]:
    """All bundles, with their metadata, by name.

    Args:
        folder: that holds them; None takes the repository's.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = Path(folder or BUNDLES)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Give one that holds bundles, each in a folder of its own.")
    paths = sorted(folder.glob("*/configs/metadata.json"))
    return [Bundle(path.parents[1].name, path.parents[1]) for path in paths]


def find(words: str, folder: str | os.PathLike | None = None) -> list[Bundle]:
    """The bundles that all of the words describe: a modality, an anatomy, a model ("brain MR HA-GAN").

    A word may be the beginning of one, and case does not matter.
    """
    wanted = [SYNONYMS.get(word, word) for word in _words(words)]
    return [
        bundle
        for bundle in bundles(folder)
        if all(any(known.startswith(word) for known in bundle.words()) for word in wanted)
    ]


def get(name: str, folder: str | os.PathLike | None = None) -> Bundle:
    """A bundle by its name.

    Raises:
        ValueError: there is none of that name.
    """
    known = {bundle.name: bundle for bundle in bundles(folder)}
    if name not in known:
        where = folder or "this collection"
        raise ValueError(f"there is no bundle {name!r} in {where}; it has: {', '.join(known) or 'none'}")
    return known[name]


def generate(
    name: str,
    n: int = 1,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    trained: str | os.PathLike | None = None,
    **overrides: Any,
) -> list[MetaTensor]:
    """Synthetic volumes, as `inference.json` writes them, without writing them.

    Args:
        name: of the bundle.
        n: how many, 1 or more.
        seed: of the first; volume i follows from ``seed + i`` alone.
        folder: that holds the bundles; None takes the repository's.
        trained: the folder that holds `models` with the weights; None takes the bundle's.
        overrides: other ids of `inference.json`: `class_label`, `device`, `ckpt_path`.

    Returns:
        Volumes [1, X, Y, Z] in the bundle's units (HU for CT), each with its ``affine`` (4 x 4, mm); axes run to the
        right, the front and the head.

    Raises:
        ValueError: no such bundle, one that needs volumes to translate, or n < 1.
        FileNotFoundError: there are no weights.
    """
    dataset = as_dataset(name, n, seed, folder, trained, **overrides)
    return [dataset[i]["image"] for i in range(len(dataset))]


def as_dataset(
    name: str,
    n: int = 1000,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    trained: str | os.PathLike | None = None,
    transform: Callable[[dict], Any] | None = None,
    **overrides: Any,
) -> SyntheticVolumes:
    """A dataset of ``n`` synthetic volumes that are made when they are asked for; arguments as of ``generate``.

    Args:
        transform: applied to each item, MONAI's transforms of dictionaries for instance.
    """
    return SyntheticVolumes(get(name, folder), n, seed, trained, transform, **overrides)


class SyntheticVolumes(Dataset):
    """Synthetic volumes that are made when they are asked for.

    Item i is {"image": MetaTensor [1, X, Y, Z], "seed": seed + i}, with "label" if the bundle generates by class. The
    network is loaded with the first item, in each process that loads items.

    Args:
        bundle: that generates.
        n: how many volumes there are.
        seed: of the first.
        trained: the folder that holds `models`; None takes the bundle's.
        transform: applied to each item.
        overrides: other ids of `inference.json`.
    """

    def __init__(
        self,
        bundle: Bundle,
        n: int,
        seed: int = 0,
        trained: str | os.PathLike | None = None,
        transform: Callable[[dict], Any] | None = None,
        **overrides: Any,
    ) -> None:
        if not bundle.generates:
            raise ValueError(
                f"{bundle.name} makes volumes from other volumes, not from seeds: run its inference.json with "
                "--dataset_dir, python -m monai.bundle run"
            )
        if n < 1:
            raise ValueError(f"n is {n}, expected 1 or more volumes")
        root = Path(trained or bundle.folder)
        weights = root / "models" / "model.pt"
        if not weights.is_file() and "ckpt_path" not in overrides:
            last = last_weights(weights)
            if last.is_file():
                raise FileNotFoundError(
                    f"no weights at {weights}: no validation has chosen the best yet. ckpt_path={str(last)!r} takes "
                    "those of the last epoch."
                )
            raise FileNotFoundError(
                f"no weights at {weights}. Train {bundle.name} first (python -m monai.bundle run "
                f"--config_file {bundle.folder / 'configs' / 'train.json'}), or say with `trained` where they are."
            )
        self.bundle, self.n, self.seed, self.transform = bundle, n, seed, transform
        self._config = silent(bundle.config) | {"bundle_root": str(root), "num_volumes": n, "seed": seed} | overrides
        self._parsed: ConfigParser | None = None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        if not -self.n <= index < self.n:
            raise IndexError(f"volume {index} of {self.n}")
        index %= self.n
        parser = self._parser()
        evaluator = parser.get_parsed_content("evaluator")
        evaluator.data_loader = DataLoader(Subset(parser.get_parsed_content("dataset"), [index]), batch_size=1)
        evaluator.run()
        (output,) = evaluator.state.made
        source = parser.get_parsed_content("datalist")[index]
        item = {"image": output.get("file", output["pred"]), "seed": source["seed"]}
        item |= {"label": source["label"]} if "label" in source else {}
        return item if self.transform is None else self.transform(item)

    def __getstate__(self) -> dict[str, Any]:
        """Without the network: another process loads its own."""
        return self.__dict__ | {"_parsed": None}

    def _parser(self) -> ConfigParser:
        if self._parsed is None:
            parser = ConfigParser(self._config)
            for loader in parser.get_parsed_content("handlers"):
                loader.load()
            evaluator = parser.get_parsed_content("evaluator")
            # state is cleared when a run ends
            evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda e: setattr(e.state, "made", e.state.output))
            self._parsed = parser
        return self._parsed


def silent(config: dict[str, Any]) -> dict[str, Any]:
    """An inference config that loads weights, and writes, prints and shows nothing."""
    quiet = json.loads(json.dumps(config))
    quiet["handlers"] = [
        dict(handler)
        for handler in config["handlers"]
        if str(handler["_target_"]).endswith((".ModelCheckpointLoader", ".ModelLoader"))
    ]
    kept = [step for step in config["postprocessing"]["transforms"] if not _writes(step)]
    quiet["postprocessing"] = config["postprocessing"] | {"transforms": kept}
    evaluator = {key: value for key, value in config["evaluator"].items() if key != "val_handlers"}
    quiet["evaluator"] = evaluator | {"val_handlers": []}
    return quiet


def _writes(step: Any) -> bool:
    """Whether a transform writes files, or removes what was made for that."""
    target = step.get("_target_", "") if isinstance(step, dict) else ""
    return "Save" in target or target.startswith("DeleteItems")


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())
