"""``python -m tools write_bundles``: the catalogue's bundles as files."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from tools.catalogue import (
    chest_control,
    chest_flow,
    crf_gan,
    cyclegan,
    diffusion,
    fastgan,
    ha_gan,
    latent_diffusion,
    nodule_gan,
    parts,
    pixel_diffusion,
    progressive,
    progressive3d,
    published,
    slice_gan,
    stylegan2,
    stylegan3,
    stylegan3d,
    training_parts,
    volume_gan,
)
from tools.catalogue.layout import as_json
from tools.catalogue.names import with_imports
from tools.catalogue.readme import readme
from tools.files import whole_file

REPOSITORY = Path(__file__).resolve().parents[2]
FAMILIES: tuple[ModuleType, ...] = (
    crf_gan,
    ha_gan,
    cyclegan,
    diffusion,
    latent_diffusion,
    chest_flow,
    chest_control,
    pixel_diffusion,
    published,
    stylegan2,
    fastgan,
    stylegan3,
    stylegan3d,
    nodule_gan,
    slice_gan,
    volume_gan,
    progressive,
    progressive3d,
)
"""Modules with ``BUNDLES``, and ``configs``, ``metadata``, ``terms`` and ``facts`` of a bundle, and ``OPTIONS``."""


def bundles() -> dict[str, tuple[ModuleType, Any]]:
    """Name -> family and entry of every bundle."""
    return {entry.name: (family, entry) for family in FAMILIES for entry in family.BUNDLES}


def files(family: ModuleType, entry: Any) -> dict[str, str]:
    """Path in the bundle's folder -> text, of all that the catalogue states."""
    configs = family.configs(entry)
    texts = {f"configs/{name}.json": as_json(content) for name, content in with_imports(configs).items()}
    if "train" in configs:
        texts["configs/multi_gpu_train.json"] = as_json(training_parts.multi_gpu_train())
    return texts | {
        "configs/metadata.json": as_json(family.metadata(entry)),
        "configs/logging.conf": parts.LOGGING,
        "docs/README.md": readme(family, entry, configs),
        "docs/data_license.txt": family.terms(entry),
        "LICENSE": (REPOSITORY / "LICENSE").read_text(),
    }


def write_bundles(output_dir: str | None = None) -> None:
    """Write configs, documents and licences of all bundles of the catalogue; pictures stay as they are.

    Args:
        output_dir: folder in which the bundles lie; the repository's ``bundles`` if None.
    """
    folder = REPOSITORY / "bundles" if output_dir is None else Path(output_dir).expanduser()
    changed = 0
    for name, (family, entry) in bundles().items():
        for path, text in files(family, entry).items():
            target = folder / name / path
            if not target.is_file() or target.read_text() != text:
                with whole_file(target) as partial:
                    partial.write_text(text)
                changed += 1
                print(f"wrote {target}")
    print(f"{len(bundles())} bundles in {folder}, {changed} files written")
