"""Which weights of which bundles make samples together, and how many each makes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from tools import collection
from tools.collection import Bundle
from tools.engines.weights import no_weights, settings_in
from tools.errors import did_you_mean
from tools.torch_files import read_state_dict

ENSEMBLE = "ensemble.json"
"""File in a folder of members that were trained together, which lists their folders."""

STRIDE = 100_000
"""Seeds between the first of a member and the first of the next: no two samples share one, and a member's are the same
however many are asked for."""


@dataclass(frozen=True)
class Member:
    """Trained weights of a bundle that generates.

    Attributes:
        bundle: bundle whose `inference.json` makes the samples.
        weights: file of the weights; None for those in the bundle's folder.
    """

    bundle: Bundle
    weights: Path | None = None

    def parser(self, options: Mapping[str, Any]) -> ConfigParser:
        """The bundle's `inference.json` with other values of some ids; nothing is loaded yet.

        Raises:
            ValueError: an option that the config does not have.
        """
        config = self.bundle.config
        if odd := [name for name in options if name.split("#")[0] not in config]:
            raise ValueError(
                f"{self.bundle.name} has no option --{odd[0]} in its inference.json."
                f"{did_you_mean(odd[0].split('#')[0], config, '--')}"
            )
        given = {"bundle_root": str(self.bundle.folder)}
        given |= {} if self.weights is None else {"ckpt_path": str(self.weights)}
        parser = ConfigParser(config)
        parser.update({**given, **options})
        return parser

    def file(self) -> Path:
        """Where the weights are.

        Raises:
            FileNotFoundError: there are none.
        """
        path = Path(self.weights or self.parser({}).get_parsed_content("ckpt_path"))
        if not path.is_file():
            raise FileNotFoundError(f"{self.bundle.name}: {no_weights(path, 'Train or fetch them first')}")
        return path

    def digest(self) -> str:
        """SHA-256 of the weights, as every sample's file says it."""
        with open(self.file(), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def shares(count: int, members: int) -> list[int]:
    """How many samples each member makes: equal shares, and one more of the first where they do not divide.

    Raises:
        ValueError: fewer samples than members.
    """
    if count < members:
        raise ValueError(f"count is {count}, expected at least one sample of each of {members} members")
    return [count // members + (number < count % members) for number in range(members)]


def is_generator(source: str | os.PathLike) -> bool:
    """Whether a source of images makes them: weights, a folder with some, a bundle, or several joined by "+"."""
    return all(_is_one(part) for part in _parts(str(source)))


def name_of(source: str) -> str:
    """What a generator is called where it has no name: by its folder, or "ensemble" if it is of several."""
    parts = _parts(source)
    path = Path(parts[0]).resolve()
    if len(parts) > 1:
        return "ensemble"
    return path.parents[1].name if path.is_file() else path.name


def members_of(sources: Sequence[str | os.PathLike]) -> list[Member]:
    """The members that are meant, in order.

    Args:
        sources: folder of a bundle, name of one of this collection, file of weights, folder that a training wrote into
            (`--bundle_root`), or folder of an ensemble; or several in one text, joined by "+".

    Raises:
        FileNotFoundError: there is nothing of the kind, or no weights in it.
        ValueError: a bundle that makes images from other images, weights that do not say of which bundle they are, or
            the same weights twice.
    """
    found = [member for source in sources for part in _parts(str(source)) for member in _members(part)]
    for member in found:
        if not member.bundle.generates:
            raise ValueError(f"{member.bundle.name} makes images from other images, not from seeds")
    digests = [(member.bundle.name, member.digest()) for member in found]
    for number, digest in enumerate(digests):
        if digest in digests[:number]:
            raise ValueError(
                f"{found[digests.index(digest)].file()} and {found[number].file()} hold the same weights; give each "
                "member once"
            )
    return found


def _parts(source: str) -> list[str]:
    """The sources of a text; what is there under its whole name is one, whatever signs are in it."""
    return [source] if Path(source).exists() else [part.strip() for part in source.split("+") if part.strip()]


def _is_one(source: str) -> bool:
    path = Path(source)
    if path.is_dir():
        return any((path / name).is_file() for name in (ENSEMBLE, "configs/inference.json", "models/model.pt"))
    return path.suffix == ".pt" if path.is_file() else source in _known()


def _known() -> dict[str, Bundle]:
    return {bundle.name: bundle for bundle in collection.bundles()}


def _members(source: str) -> list[Member]:
    path = Path(source)
    if path.is_file():
        return [Member(_bundle_of(path), path)]
    if (path / ENSEMBLE).is_file():
        return _ensemble(path)
    if (path / "configs" / "inference.json").is_file():
        return [Member(Bundle(path.resolve().name, path.resolve()))]
    if (weights := path / "models" / "model.pt").is_file():
        return [Member(_bundle_of(weights), weights)]
    if path.is_dir():
        raise FileNotFoundError(
            f"{path} is no bundle (configs/inference.json), holds no weights (models/model.pt) and no {ENSEMBLE}"
        )
    known = _known()
    if source not in known:
        raise FileNotFoundError(
            f"there is no bundle, weights or folder {source!r}; expected the folder or name of a bundle, a model.pt, a "
            f"folder that a training wrote into, or an ensemble's.{did_you_mean(source, known)}"
        )
    return [Member(known[source])]


def bundle_at(source: str) -> Bundle:
    """The bundle in a folder, or of a name.

    Raises:
        FileNotFoundError: there is none.
    """
    path, known = Path(source), _known()
    if (path / "configs" / "metadata.json").is_file():
        return Bundle(path.resolve().name, path.resolve())
    if source not in known:
        raise FileNotFoundError(f"there is no bundle {source!r}, by name or folder.{did_you_mean(source, known)}")
    return known[source]


def _ensemble(folder: Path) -> list[Member]:
    """Those of a folder of `train_ensemble`."""
    content = json.loads((folder / ENSEMBLE).read_text(encoding="utf-8"))
    bundle = Path(content["bundle"])
    weights = [folder / name / "models" / "model.pt" for name in content["members"]]
    if missing := [path.parts[-3] for path in weights if not path.is_file()]:
        raise FileNotFoundError(
            f"{folder}: {', '.join(missing)} of {len(weights)} members have no models/model.pt; train them with "
            "train_ensemble, or give the folders of those that are there"
        )
    return [Member(Bundle(bundle.name, bundle), path) for path in weights]


def _bundle_of(weights: Path) -> Bundle:
    """The bundle that weights belong to: the one in whose folder they lie, or the collection's that they name."""
    above = weights.resolve().parents[1]
    if (above / "configs" / "inference.json").is_file():
        return Bundle(above.name, above)
    name = settings_in(read_state_dict(weights)).get("bundle")
    known = _known()
    if name not in known:
        says = "does not say of which bundle it is" if name is None else f"is of the bundle {name}, unknown here"
        raise ValueError(f"{weights} {says}; give the folder of its bundle, with the file in models")
    return known[name]
