"""Names of version 0.1.0 that are elsewhere now: in configs and programs they work for one version, with a warning.

In 0.1.0 a folder's ``__init__`` had the names of its modules, ``tools.engines.AlternatingTrainer``. Now each name is in
its module alone. ``python -m tools pack`` refuses former names, since a config that has one does not say what it needs.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

IN_MODULES = {
    "data": {
        "data.cache": "cached_dataset usable_dataset",
        "data.fallback": "dataset_or_phantoms",
        "data.former": "data_provenance gsp_datalist image_transforms luna16_datalist t1_transforms",
        "data.labels": "with_labels",
        "data.phantoms.chaos": "write_chaos_phantoms",
        "data.phantoms.gsp": "write_gsp_phantoms",
        "data.phantoms.luna16": "write_luna16_phantoms",
        "data.preprocessed": "preprocessed_info",
        "data.slices": "SliceStore UnpairedSampler UnpairedSlices unpaired with_enough_slices",
        "data.studies": "ct_studies mr_studies translation_studies true_ct",
        "data.synthetic": "reference_files seed_datalist with_seeds",
        "data.volumes": "volume_datalist",
        "io.left_out": "print_left_out",
        "io.volume": "VolumeError",
        "io.volume_reader": "VolumeReader volume_header",
    },
    "data.phantoms": {
        "data.phantoms.abdomen": "abdomen_ct abdomen_t1 abdomen_t2 abdomen_true_ct",
        "data.phantoms.abdomen_body": "AbdomenBody",
        "data.phantoms.abdomen_tissues": "ABDOMEN_CT ABDOMEN_MR Abdomen",
        "data.phantoms.brain": "BRAIN_TISSUES Brain brain_labels brain_t1",
        "data.phantoms.chaos": "write_chaos_phantoms",
        "data.phantoms.gsp": "write_gsp_phantoms",
        "data.phantoms.luna16": "write_luna16_phantoms",
        "data.phantoms.thorax": "THORAX_TISSUES Thorax thorax_ct thorax_labels",
    },
    "engines": {
        "engines.checkpoint": "TrainingCheckpoint lock_folders",
        "engines.draws": "Draws",
        "engines.ema": "ExponentialMovingAverage",
        "engines.generation": "OneByOneInferer PrepareLatents write_by_slabs",
        "engines.logging": "Progress tensorboard_writer",
        "engines.montage": "TensorBoardMontage",
        "engines.processes": "rank_and_world_size",
        "engines.schedule": "constant_then_linear epochs_for",
        "engines.settings": "check_settings enough_for_a_batch full_batches",
        "engines.tracking": "TrackedSettings",
        "engines.trainer": "AlternatingTrainer",
        "engines.translation": "SlabInferer",
        "engines.update": "Update",
        "engines.validation": "Validation is_smaller",
        "engines.weights": "BestModel ModelCheckpointLoader ModelLoader model_settings weights_beside",
    },
    "layers": {
        "layers.crf": "MeanFieldCRF axial_nodes axial_similarity channel_nodes",
        "layers.upsample": "UpsampleConv3d",
    },
    "metrics": {
        "metrics.baselines": "best_constants matched_histogram",
        "metrics.consistency": "through_plane_change",
        "metrics.distances": "frechet_distance kernel_distance maximum_mean_discrepancy",
        "metrics.diversity": "ms_ssim_diversity",
        "metrics.histograms": "histogram_correlation histogram_intersection kl_divergence",
        "metrics.inception": "inception_score",
        "metrics.layer_summary": "compare_layers",
        "metrics.neighbours": "density_coverage precision_recall",
        "metrics.paired": "mean_absolute_error mean_error path_length_difference psnr ssim tissue_errors "
        "water_equivalent_path_length",
        "metrics.spectra": "spectral_correlation",
        "metrics.uncertainty": "Interval bootstrap_interval extrapolated_frechet_distance sample_size_warning "
        "small_sample_bias",
    },
    "transforms": {
        "transforms.ct": "CalibrateHUd DropBlankSlicesd PrepareCTd ReplaceNaNd ct_preprocessing",
        "transforms.digest": "chain_digest",
        "transforms.mr": "CropToHeadd NormaliseT1d RemoveBackgroundd t1_preprocessing",
        "transforms.spatial": "ResizeVolumed load_volume",
    },
}
"""Folder of ``tools`` -> module that now has a name -> names."""

ELSEWHERE = {
    "layers.set_form": "layers.implementation.set_implementation",
    "metrics.LayerProfile": "metrics.layer_summary.LayerSummary",
    "metrics.evaluation": "evaluation.report_handler",
    "metrics.features": "features.untrained",
    "metrics.handlers": "evaluation.handlers",
    "metrics.spaces": "features.spaces",
    "metrics.translation": "evaluation.translation",
    "transforms.montage": "engines.montage",
}
"""Name or module of a folder -> what it is called now."""

FORMER = ELSEWHERE | {
    f"{folder}.{name}": f"{module}.{name}"
    for folder, modules in IN_MODULES.items()
    for module, names in modules.items()
    for name in names.split()
}
"""Dotted name in version 0.1.0 -> dotted name now, both below ``tools``."""

INSTEAD = {
    "data.former.data_provenance": "data.provenance.data_provenance, with fields_of_view",
    "data.former.gsp_datalist": "data.volumes.section_datalist, with 'gsp'",
    "data.former.image_transforms": "data.cubes.Cubes, with 'ct'",
    "data.former.luna16_datalist": "data.volumes.section_datalist, with 'luna16'",
    "data.former.t1_transforms": "data.cubes.Cubes, with 't1'",
}
"""Function that keeps a former name working -> what a reader is told to write, both below ``tools``."""

IMPLEMENTATIONS = {True: "reference", False: "optimised"}
"""Value of an argument ``plain`` -> that of ``implementation``."""


def former_argument(old: str, *new: str, values: Mapping[Any, Any] | None = None) -> Callable[[Callable], Callable]:
    """Decorator of a function one of whose arguments had another name in version 0.1.0.

    Args:
        old: former name.
        *new: present name; or several, which all take the value.
        values: present values by former ones, if those have changed too.
    """

    def decorate(function: Callable) -> Callable:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if old in kwargs:
                message = (
                    f"argument {old} is now {' and '.join(new)}, and the old name goes with the next version. Write "
                    "what it is now."
                )
                warnings.warn(message, FutureWarning, stacklevel=2)
                value = kwargs.pop(old)
                kwargs |= dict.fromkeys(new, value if values is None else values[value])
            return function(*args, **kwargs)

        return call

    return decorate


def name_now(dotted: str) -> str | None:
    """What to write for ``tools.engines.Update`` now, or None if it never had that name."""
    now = FORMER.get(dotted.removeprefix("tools."))
    return None if now is None else f"tools.{INSTEAD.get(now, now)}"


def former_names(package: str) -> Callable[[str], Any]:
    """``__getattr__`` of a package that had the names of its modules.

    It raises AttributeError for what the package never had.
    """

    def find(name: str) -> Any:
        dotted = f"{package}.{name}"
        if name_now(dotted) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        message = f"{dotted} is now {name_now(dotted)}; the old name goes with the next version. Write the new one."
        warnings.warn(message, FutureWarning, stacklevel=2)
        now = f"tools.{FORMER[dotted.removeprefix('tools.')]}"
        module, _, attribute = now.rpartition(".")
        try:
            return getattr(importlib.import_module(module), attribute)
        except AttributeError:
            return importlib.import_module(now)

    return find


def former_arguments(new: str, gather: Callable[..., Any], old: Sequence[str]) -> Callable[[Callable], Callable]:
    """Decorator of a function several of whose arguments of version 0.1.0 are one record now.

    Args:
        new: argument that takes the record.
        gather: class of the record, which takes the former arguments by their names.
        old: former names.
    """

    def decorate(function: Callable) -> Callable:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if given := {name: kwargs.pop(name) for name in old if name in kwargs}:
                message = (
                    f"{', '.join(given)} are arguments of {gather.__name__} now, the argument {new}; here they "
                    "go with the next version. Write the new one."
                )
                warnings.warn(message, FutureWarning, stacklevel=2)
                kwargs[new] = gather(**given)
            return function(*args, **kwargs)

        return call

    return decorate
