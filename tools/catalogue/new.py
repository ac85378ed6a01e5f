"""``python -m tools new``: a bundle of one's own, like one of the collection."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tools.catalogue.layout import as_json
from tools.catalogue.names import with_imports
from tools.catalogue.readme import readme
from tools.catalogue.write import REPOSITORY, bundles, files
from tools.errors import did_you_mean
from tools.files import whole_file


def new(name: str, like: str, output_dir: str | None = None, **own: Any) -> None:
    """Write a bundle of your own, like one of the collection, to be trained at once.

    Any option of train.json can be given its new default, nested ones with # (--seed 3, --learning_rates#generator
    2e-4), and so can the fields of the catalogue's entry, of which all else follows (--modalities [in_phase,t2]).
    Example: python -m tools new my_chest --like crf_gan_luna16 --dataset_dir /data/mine --window [-1000,400]

    Args:
        name: name of the new bundle: letters, digits and underscores.
        like: the bundle of the collection whose networks, losses and options it takes.
        output_dir: folder in which the bundle's folder goes; the repository's ``bundles`` without it.
        own: options of train.json and fields of the entry, with their values.
    """
    known = bundles()
    if like not in known:
        raise ValueError(f"--like is {like!r}, expected one of {', '.join(sorted(known))}.{did_you_mean(like, known)}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", str(name)):
        raise ValueError(f"name is {name!r}, expected letters, digits and underscores, a letter first.")
    folder = (REPOSITORY / "bundles" if output_dir is None else Path(output_dir)) / name
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; choose another name, or remove it.")
    family, entry = known[like]
    if "train" not in family.configs(entry):
        raise ValueError(f"--like is {like}, which runs weights of others and trains nothing; choose one that trains.")
    entry_fields = {field.name for field in fields(entry)} - {"name"}
    changes = {key: value for key, value in own.items() if key in entry_fields}
    entry = replace(entry, name=name, **{key: _like(getattr(entry, key), key, value) for key, value in changes.items()})
    texts = files(family, entry)
    configs = family.configs(entry)
    for id, value in own.items():
        if id not in changes:
            _set(configs["train"], id, value, also=entry_fields)
    root = str(folder if output_dir is not None else f"bundles/{name}")
    for config, content in with_imports(configs).items():
        if "bundle_root" in content:
            content["bundle_root"] = root
        texts[f"configs/{config}.json"] = as_json(content)
    texts["docs/README.md"] = readme(family, entry, configs, root=root, like=like, own=own)
    for path, text in texts.items():
        with whole_file(folder / path) as partial:
            partial.write_text(text)
    print(f"{folder} is like {like}. Train it, from the repository's folder, with")
    print(f"python -m monai.bundle run --config_file {root}/configs/train.json")


def _like(current: Any, name: str, value: Any) -> Any:
    """A value of the kind that a field has."""
    if isinstance(current, tuple) and isinstance(value, list | tuple | str):
        return tuple(str(part) for part in ([value] if isinstance(value, str) else value))
    if type(value) is not type(current):
        raise ValueError(f"--{name} is {value!r}, expected something like {current!r}.")
    return value


def _set(config: dict[str, Any], id: str, value: Any, also: set[str]) -> None:
    """Give an option of a config another default."""
    node: Any = config
    *above, last = id.split("#")
    for position, key in enumerate([*above, last]):
        if not isinstance(node, dict) or key not in node:
            names = [*node, *(also if position == 0 else ())] if isinstance(node, dict) else []
            raise ValueError(f"--{id}: train.json has nothing of that name.{did_you_mean(key, names)}")
        if position < len(above):
            node = node[key]
    node[last] = value
