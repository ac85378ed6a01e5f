"""The command that trains several members of a bundle, which differ by their seed (Eilertsen et al. 2021)."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.child_process import start
from tools.collection import Bundle
from tools.data.patients import WAYS
from tools.ensemble.members import ENSEMBLE, bundle_at
from tools.errors import check_choice, did_you_mean
from tools.files import whole_file

logger = logging.getLogger(__name__)

OVERLAY, TRAINED = "member.json", "trained.json"
"""Files in a member's folder: what its config has beside the bundle's, and what says that it is done."""

RESERVED = ("bundle_root", "seed", "resume", "train_data", "imports")
"""Options that are a member's own."""


def train_ensemble(
    bundle: str,
    output_dir: str,
    members: int = 5,
    seed: int = 0,
    patients: str = "all",
    part: int = 1,
    of: int = 1,
    **options: Any,
) -> None:
    """Train several members of a bundle, one after the other, each from its own seed and into its own folder.

    Generators that were trained from other seeds leave out other things: together they cover more, and a classifier
    trained on equal shares of all is better than on one's (Eilertsen et al., Ensembles of GANs for synthetic training
    data generation, 2021). The folder is then one generator for `generate`, `evaluate` and `usefulness`. A member that
    is done is not trained again, one that was interrupted goes on, and more members are added by a greater number.
    Other options are ids of the bundle's train.json, such as --dataset_dir DIR and --max_epochs 100.

    Args:
        bundle: folder or name of the bundle.
        output_dir: folder for the members, member_1 and so on.
        members: number of members.
        seed: seed of the first; each further one has the next.
        patients: patients that each is trained on: all, bootstrap (a draw of its own), or partition (a part of its
            own).
        part: number of this job, from 1, where several share the members.
        of: number of jobs.
    """
    for name, value in {"members": members, "part": part, "of": of}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}, expected a whole number from 1")
    if part > of:
        raise ValueError(f"part is {part} of {of}, expected 1 to {of}")
    check_choice("patients", patients, WAYS)
    trained = bundle_at(bundle)
    config = _train_config(trained)
    _check(trained.name, config, options)
    folder = Path(output_dir).resolve()
    settings = {"bundle": str(trained.folder.resolve()), "seed": seed, "patients": patients, "options": options}
    if patients == "partition":
        settings["of"] = members  # more members would make other parts
    _write_list(folder, settings, members)
    shared = {"cache_dir": str(folder / "cache")} if "cache_dir" in config and "cache_dir" not in options else {}
    for number in range(part, members + 1, of):
        root = folder / f"member_{number}"
        if (root / TRAINED).is_file():
            logger.info("member %d of %d is trained", number, members)
            continue
        logger.info("member %d of %d, seed %d", number, members, seed + number - 1)
        overlay = _overlay(config, patients, number, members, seed)
        with whole_file(root / OVERLAY) as partial:
            partial.write_text(json.dumps(overlay, indent=1) + "\n", encoding="utf-8")
        own = {"bundle_root": str(root), "seed": seed + number - 1, "resume": "auto"}
        _train([trained.folder / "configs" / "train.json", root / OVERLAY], shared | options | own, number)
        with whole_file(root / TRAINED) as partial:
            partial.write_text(json.dumps(settings | own, indent=1) + "\n", encoding="utf-8")
    done = sum((folder / f"member_{number}" / TRAINED).is_file() for number in range(1, members + 1))
    print(f"{done} of {members} members are trained in {folder}")
    if done == members:
        print(f"python -m tools generate --bundles {folder} --count 100 --output_dir cohort")


def _train_config(bundle: Bundle) -> dict[str, Any]:
    path = bundle.folder / "configs" / "train.json"
    if not path.is_file() or not bundle.generates:
        raise ValueError(f"{bundle.name} is no bundle that is trained to make images from seeds")
    return json.loads(path.read_text(encoding="utf-8"))


def _check(name: str, config: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    for option in options:
        top = option.split("#")[0]
        if top in RESERVED:
            raise ValueError(f"--{option} is each member's own; train_ensemble sets it (--seed, --output_dir)")
        if top not in config:
            raise ValueError(f"{name} has no option --{option} in its train.json.{did_you_mean(top, config, '--')}")


def _write_list(folder: Path, settings: Mapping[str, Any], members: int) -> None:
    """The list of members, in which nothing but their number may change."""
    path = folder / ENSEMBLE
    settings = json.loads(json.dumps(settings))
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        members = max(members, len(before.pop("members")))
        if odd := sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key)):
            was = ", ".join(f"{key} {before.get(key)}" for key in odd)
            raise FileExistsError(f"{folder} holds members that were trained with {was}; choose a new folder")
    content = {**settings, "members": [f"member_{number}" for number in range(1, members + 1)]}
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _overlay(config: Mapping[str, Any], patients: str, member: int, members: int, seed: int) -> dict[str, Any]:
    """What of a member's config is its own."""
    if patients == "all":
        return {}
    given = config.get("train_data")
    if not isinstance(given, str) or not given.startswith("$"):
        raise ValueError("train.json has no train_data that is an expression; train with --patients all")
    chosen = f"$patients_of({given[1:]}, {patients!r}, {member}, {members}, {seed})"
    return {"imports": [*config["imports"], "$from tools.data.patients import patients_of"], "train_data": chosen}


def _train(files: list[Path], options: Mapping[str, Any], number: int) -> None:
    """Run a training as a process of its own, which ends with this one; what it says is seen."""
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str([str(file) for file in files])]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    with start(command) as process:
        code = process.wait()
    if code:
        raise RuntimeError(
            f"the training of member {number} ended with exit code {code}, for the reason above; the same "
            "command goes on with it"
        )
