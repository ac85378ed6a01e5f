"""What every bundle's ``metadata.json`` has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
PACKAGES = (
    "scipy",
    "pytorch-ignite",
    "SimpleITK",
    "nibabel",
    "pynrrd",
    "pillow",
    "fire",
    "tqdm",
    "tensorboard",
    "pydicom",
    "matplotlib",
    "Jinja2",
    "torchvision",
)
"""What a bundle needs besides MONAI, torch and NumPy."""

KINDS = {
    "generate": "makes images from seeds",
    "translate": "makes images from other images",
    "simulate": "computes images, without a network",
}
"""What a bundle can do, in the word that collection, benchmark, packing and tests read in its metadata."""


REWORKED = {
    "0.2.0": "each row of a batch has its own stream of random numbers, so that a seed gives other latents and crops "
    "than before; options have the field's words: implementation, checkpointing and mind_weight, formerly plain, lean "
    "and structure_weight, which work until the next version; configs name functions and classes by their modules, as "
    "tools.engines.trainer.AlternatingTrainer, and the short names of before work until then; what makes an image and "
    "what writes it are two parts of inference.json; a training of whole volumes keeps them as python -m tools "
    "preprocess writes them, and what earlier versions kept in the cache is not read; NRRD is read"
}
"""What the second version changed for users of the bundles that had a first."""


def pinned() -> dict[str, str]:
    """Package -> version, from requirements.txt."""
    return dict(line.split("==") for line in REQUIREMENTS.read_text().splitlines() if "==" in line)


def metadata(
    kind: str,
    changelog: dict[str, str],
    says: dict[str, Any],
    inputs: dict[str, Any],
    output: dict[str, Any],
    also: tuple[str, ...] = (),
) -> dict:
    """The content of a ``metadata.json``.

    Args:
        kind: ability of the bundle, one of `KINDS`.
        changelog: version -> what is new in it, the newest first; this is the bundle's version.
        says: name, task, description, authors, data and intended use, in the words of `metadata.json`.
        inputs: the network's input, as ``network_data_format`` has it.
        output: its output.
        also: packages that it needs besides `PACKAGES`.
    """
    versions = pinned()
    return {
        "schema": SCHEMA,
        "version": next(iter(changelog)),
        "changelog": changelog,
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": {name: versions[name] for name in (*PACKAGES, *also)},
        "supported_apps": {},
        "kind": kind,
        **says,
        "network_data_format": {"inputs": {"image": inputs}, "outputs": {"pred": output}},
    }
