"""Lists of volumes to generate: what MONAI calls a datalist, where the data is a seed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
"""How the names of label maps end."""


def seed_datalist(
    num_volumes: int, seed: int = 0, num_classes: int = 0, class_label: int | None = None, name: str = "synthetic"
) -> list[dict]:
    """One item for each volume to generate, from consecutive seeds.

    A volume's class follows from its seed, like all else of it: whatever the job, the same seed is the same volume, and
    jobs that share a range of seeds make the classes in equal parts together.

    Args:
        num_volumes: number of volumes.
        seed: seed of the first, 0 or more.
        num_classes: number of classes of the generator, 0 if it is not conditional.
        class_label: class of all volumes; None takes the seed's remainder after division by the number of classes.
        name: first part of the volumes' names.

    Returns:
        [{"seed", "name"}, ...], with "label" if the generator is conditional.

    Raises:
        ValueError: nothing to generate, a negative seed, or a class that the generator does not know.
    """
    if num_volumes < 1:
        raise ValueError(f"num_volumes is {num_volumes}, expected 1 or more.")
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected 0 or more.")
    if class_label is not None and not 0 <= class_label < num_classes:
        known = f"0 to {num_classes - 1}" if num_classes else "none: it was trained without classes"
        raise ValueError(f"class_label is {class_label}, but the classes of this generator are {known}.")
    items = [{"seed": s, "name": f"{name}_seed{s:05d}"} for s in range(seed, seed + num_volumes)]
    if num_classes:
        for item in items:
            item["label"] = item["seed"] % num_classes if class_label is None else class_label
            item["name"] += f"_class{item['label']}"
    return items


def labels_datalist(
    num_volumes: int, seed: int = 0, labels: str | os.PathLike = "none", name: str = "synthetic"
) -> list[dict]:
    """`seed_datalist`, each item with a label map that its image is made of, "labels", if there is a folder of them.

    Args:
        num_volumes: number of volumes; with more than there are label maps, these come again, for other noise.
        seed: seed of the first.
        labels: folder of label maps; "made" and "none" have none in files.
        name: first part of the volumes' names.

    Raises:
        FileNotFoundError: there is no such folder, or nothing that is a volume in it.
    """
    items = seed_datalist(num_volumes, seed, name=name)
    if labels in ("made", "none"):
        return items
    folder = Path(labels)
    files = [path for path in sorted(folder.rglob("[!.]*")) if path.name.endswith(VOLUMES)]
    if not files:
        what = "has no label map in it" if folder.is_dir() else "is no folder"
        raise FileNotFoundError(f"{folder} {what}; give --labels a folder of {', '.join(VOLUMES)}, made, or none")
    return [item | {"labels": str(files[number % len(files)])} for number, item in enumerate(items)]


def with_seeds(datalist: Sequence[dict], seed: int = 0) -> list[dict]:
    """Give every real volume the seed of the synthetic one that it is compared with."""
    return [item | {"seed": seed + i} for i, item in enumerate(datalist)]


def reference_files(reference: str, training: Sequence[dict], validation: Sequence[dict]) -> list[dict]:
    """The real volumes that generated ones are compared with.

    Args:
        reference: "validation", volumes that were not trained on, or "training", as the code of HA-GAN's and CRF-GAN's
            papers has it: more volumes, which a generator that repeats them is close to.
        training: datalist for training.
        validation: datalist for validation.

    Raises:
        ValueError: ``reference`` is neither.
    """
    if reference not in ("training", "validation"):
        raise ValueError(f"reference is {reference!r}, expected 'training' or 'validation'")
    return list(training if reference == "training" else validation)
