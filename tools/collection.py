"""The collection in Python: which bundles there are, and volumes from them without a config or a folder of files.

    >>> from tools import collection
    >>> [bundle.name for bundle in collection.find("chest CT")]
    ['crf_gan_luna16', 'ha_gan_luna16']
    >>> made = collection.generate("crf_gan_luna16", n=4, seed=0)
    >>> made[0]["image"].shape, made[0]["image"].affine, made[0]["image"].meta["unit"]
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
from tools.transforms.volume import UNIT

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"

SEARCHED = ("name", "task", "description", "data_source", "data_type", "image_classes", "label_classes", "pred_classes")
"""Keys of the metadata in which ``find`` looks."""

PARTS = ("load_weights", "dataset", "generation")
"""Ids of `inference.json` that make images and write nothing."""

NAMES = {"pred": "image"}
"""What a bundle makes, by the key of its output: all that has a unit, those not listed by their own key."""

SYNONYMS = {"mri": "mr", "synthesis": "generation", "lung": "chest", "head": "brain"}


@dataclass(frozen=True)
class Bundle:
    """A bundle of the collection.

    Attributes:
        name: name of its folder.
        folder: path of its folder.
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
    def kind(self) -> str:
        """What the bundle does, in the word of its metadata: "generate" (from seeds), "translate".

        Raises:
            ValueError: the metadata does not say.
        """
        if "kind" not in self.metadata:
            raise ValueError(f'{self.folder}: configs/metadata.json has no "kind", the word for what the bundle does.')
        return self.metadata["kind"]

    @property
    def generates(self) -> bool:
        """Whether images come from seeds, not from other images."""
        return self.kind == "generate"

    def words(self) -> set[str]:
        """The words that describe it, in lower case."""
        text = " ".join([self.name, *(str(self.metadata.get(key, "")) for key in SEARCHED)])
        return set(_words(text))


def bundles(folder: str | os.PathLike | None = None) -> list[Bundle]:
    """All bundles, with their metadata, by name.

    Args:
        folder: folder that holds them; None takes the repository's.

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
) -> list[dict[str, Any]]:
    """Synthetic volumes, as `inference.json` writes them, without writing them.

    Args:
        name: name of the bundle.
        n: number of volumes, 1 or more.
        seed: seed of the first; volume i follows from ``seed + i`` alone.
        folder: folder that holds the bundles; None takes the repository's.
        trained: the folder that holds `models` with the weights; None takes the bundle's.
        overrides: other ids of `inference.json`: `class_label`, `device`, `ckpt_path`, nested ones with #.

    Returns:
        An item for each seed, see `SyntheticVolumes`.

    Raises:
        ValueError: no such bundle, one that needs volumes to translate, or n < 1.
        FileNotFoundError: there are no weights.
    """
    dataset = as_dataset(name, n, seed, folder, trained, **overrides)
    return [dataset[i] for i in range(len(dataset))]


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
        transform: callable that is applied to each item, MONAI's transforms of dictionaries for instance.
    """
    return SyntheticVolumes(get(name, folder), n, seed, trained, transform, **overrides)


class SyntheticVolumes(Dataset):
    """Synthetic volumes that are made when they are asked for.

    An item holds:

    - "image": MetaTensor [1, X, Y, Z] with its ``affine`` (4 x 4, mm; axes run to the right, the front and the head)
      and its unit, ``meta["unit"]``;
    - whatever else the bundle makes, likewise, by the key of its output;
    - "seed": the number that item i follows from, seed + i;
    - "class_label": its class, if the bundle generates by class.

    The network is loaded with the first item, in each process that loads items.

    Args:
        bundle: bundle that generates.
        n: number of volumes.
        seed: seed of the first.
        trained: the folder that holds `models`; None takes the bundle's.
        transform: callable that is applied to each item.
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
            train = bundle.folder / "configs" / "train.json"
            first = f"Train {bundle.name} first (python -m monai.bundle run --config_file {train})"
            if not train.is_file():
                first = f"Fetch published ones first (python -m tools fetch_weights {bundle.name})"
            raise FileNotFoundError(f"no weights at {weights}. {first}, or say with `trained` where they are.")
        self.bundle, self.n, self.seed, self.transform = bundle, n, seed, transform
        self._config = bundle.config
        self._overrides = {"bundle_root": str(root), "num_volumes": n, "seed": seed} | overrides
        if missing := [id for id in PARTS if id not in self._config]:
            raise ValueError(
                f"{bundle.folder}: configs/inference.json has no {' or '.join(missing)}, which make images and write "
                "nothing: it is of an earlier version of this library. Run it with python -m monai.bundle run."
            )
        self._parsed: ConfigParser | None = None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        if not -self.n <= index < self.n:
            raise IndexError(f"volume {index} of {self.n}")
        index %= self.n
        parser = self._parser()
        engine = parser.get_parsed_content("generation")
        engine.data_loader = DataLoader(Subset(parser.get_parsed_content("dataset"), [index]), batch_size=1)
        engine.run()
        (output,) = engine.state.made
        source = parser.get_parsed_content("datalist")[index]
        item = {NAMES.get(key, key): value for key, value in output.items() if _has_unit(value)}
        item["seed"] = source["seed"]
        if "label" in source:
            item["class_label"] = source["label"]
        return item if self.transform is None else self.transform(item)

    def __getstate__(self) -> dict[str, Any]:
        """Without the network: another process loads its own."""
        return self.__dict__ | {"_parsed": None}

    def _parser(self) -> ConfigParser:
        if self._parsed is None:
            parser = ConfigParser(self._config)
            parser.update(self._overrides)
            parser.get_parsed_content("load_weights").load()
            engine = parser.get_parsed_content("generation")
            # state is cleared when a run ends
            engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: setattr(e.state, "made", e.state.output))
            self._parsed = parser
        return self._parsed


def _has_unit(value: Any) -> bool:
    """Return whether an output is an image that was made, and not what it was made from."""
    return isinstance(value, MetaTensor) and UNIT in value.meta


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())
