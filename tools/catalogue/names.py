"""Names that expressions of configs use, and the modules that have them: every config imports what it uses, by name."""

from __future__ import annotations

import builtins
import re
import symtable
from collections.abc import Iterator, Mapping
from typing import Any

ALWAYS = ("os", "monai", "torch")
"""Modules that every config imports, for its overlays and for what is overridden on a command line."""

NAMES = {
    "case_datalist": "tools.data.cases",
    "labelled_dataset": "tools.data.cases",
    "asked_volumes": "tools.data.conditions",
    "with_conditions": "tools.data.conditions",
    "with_others_conditions": "tools.data.conditions",
    "dataset_or_phantoms": "tools.data.fallback",
    "label_maps": "tools.data.label_maps",
    "labelled_scans": "tools.data.label_maps",
    "with_labels": "tools.data.labels",
    "chest_scans": "tools.data.nodules",
    "diameter_range": "tools.data.nodules",
    "nodule_datalist": "tools.data.nodules",
    "paintable": "tools.data.nodules",
    "scans_to_inpaint": "tools.data.nodules",
    "scans_to_paint": "tools.data.nodules",
    "seeded_nodules": "tools.data.nodules",
    "write_brats_phantoms": "tools.data.phantoms.brats",
    "write_chaos_phantoms": "tools.data.phantoms.chaos",
    "write_gsp_phantoms": "tools.data.phantoms.gsp",
    "write_luna16_phantoms": "tools.data.phantoms.luna16",
    "write_msd_phantoms": "tools.data.phantoms.msd",
    "write_rsna_ich_phantoms": "tools.data.phantoms.rsna_ich",
    "data_provenance": "tools.data.provenance",
    "read_images": "tools.data.slice_classes",
    "slice_weights": "tools.data.slice_classes",
    "slice_datalist": "tools.data.slice_datalist",
    "unpaired": "tools.data.slices",
    "with_enough_slices": "tools.data.slices",
    "ct_studies": "tools.data.studies",
    "mr_studies": "tools.data.studies",
    "translation_studies": "tools.data.studies",
    "true_ct": "tools.data.studies",
    "labels_datalist": "tools.data.synthetic",
    "reference_files": "tools.data.synthetic",
    "seed_datalist": "tools.data.synthetic",
    "with_seeds": "tools.data.synthetic",
    "section_datalist": "tools.data.volumes",
    "volume_datalist": "tools.data.volumes",
    "RSNA_ICH": "tools.datasets.bleedings",
    "BRATS": "tools.datasets.brats",
    "HIPPOCAMPUS": "tools.datasets.decathlon",
    "PANCREAS": "tools.datasets.decathlon",
    "lock_folders": "tools.engines.checkpoint",
    "seeded": "tools.engines.determinism",
    "tensorboard_writer": "tools.engines.logging",
    "rank_and_world_size": "tools.engines.processes",
    "constant_then_linear": "tools.engines.schedule",
    "epochs_for": "tools.engines.schedule",
    "check_settings": "tools.engines.settings",
    "cubic": "tools.engines.settings",
    "divisible": "tools.engines.settings",
    "enough_for_a_batch": "tools.engines.settings",
    "full_batches": "tools.engines.settings",
    "next_divisible": "tools.engines.settings",
    "halvable": "tools.engines.settings",
    "multiples": "tools.engines.settings",
    "renamed": "tools.engines.settings",
    "with_denoiser": "tools.engines.controlled",
    "begun_with": "tools.engines.transfer",
    "distance_of_scales": "tools.engines.projection",
    "save_projections": "tools.engines.projection",
    "save_mixing": "tools.engines.style_pictures",
    "save_way": "tools.engines.style_pictures",
    "is_smaller": "tools.engines.validation",
    "warn_unseen": "tools.engines.views",
    "model_settings": "tools.engines.weights",
    "weights_beside": "tools.engines.weights",
    "medicalnet_distance": "tools.features.medicalnet",
    "print_left_out": "tools.io.left_out",
    "set_fused": "tools.layers.equalised",
    "doublable": "tools.networks.volume_gan",
    "set_implementation": "tools.layers.implementation",
    "LPIPS": "tools.losses.lpips",
    "volume_mind_loss": "tools.losses.mind",
    "ct_preprocessing": "tools.transforms.ct",
    "CLASSES": "tools.transforms.maisi",
    "t1_preprocessing": "tools.transforms.mr",
    "ct_slices": "tools.transforms.slices",
    "mr_slices": "tools.transforms.slices",
}
"""What an expression may call -> the module that defines it. A name that is used nowhere is none too many."""

REFERENCE = re.compile(r"@[#\w]+")


def with_imports(configs: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The configs of a bundle with the imports that their expressions need; the look at the command line comes first.

    A config without a `bundle_root` runs on top of `train`, or of `inference` where nothing is trained, which imports
    for it.

    Raises:
        ValueError: an expression uses a name that is not in ``NAMES``.
    """
    used: dict[str, set[str]] = {}
    below = "train" if "train" in configs else "inference"
    for name, content in configs.items():
        alone = name if "bundle_root" in content else below
        used.setdefault(alone, set()).update(*(_names_of(text, name) for text in _expressions(content)))
    imported = {name: {"imports": _imports(names)} for name, names in used.items()}
    return {name: imported.get(name, {}) | content for name, content in configs.items()}


def _imports(names: set[str]) -> list[str]:
    ours = sorted((NAMES[name], name) for name in names if name in NAMES)
    return [
        "$import tools.bundle_command",
        *(f"$import {module}" for module in ALWAYS),
        *(f"$from {module} import {name}" for module, name in ours),
    ]


def _names_of(text: str, config: str) -> set[str]:
    """The names that an expression takes from elsewhere, without Python's own."""
    tables = [symtable.symtable(REFERENCE.sub("_", text), config, "eval")]
    found = set()
    for table in tables:
        found |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        tables += table.get_children()
    found -= {"_", *dir(builtins)}
    unknown = sorted(found - {*NAMES, *ALWAYS})
    if unknown:
        raise ValueError(f"{config}: tools/catalogue/names.py does not say which module has {unknown[0]!r} of ${text}")
    return found


def _expressions(content: Any) -> Iterator[str]:
    """The expressions of a config, without MONAI's "$"."""
    if isinstance(content, str):
        if content.startswith("$") and not content.startswith(("$import ", "$from ")):
            yield content[1:].strip()
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _expressions(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _expressions(value)
