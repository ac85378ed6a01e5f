"""Parts of configs that families share. Every function returns a new piece of JSON; ``@`` and ``$`` are MONAI's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Config = dict[str, Any]

DEVICE = "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')"


def check(*options: str) -> Config:
    """An id that refuses options which will not do, for `initialize`, before anything else is read."""
    given = {option: f"@{option}" for option in options}
    return {"check": {"_target_": "tools.engines.settings.check_settings", **given}}


# --- inference ---


def where_inference_writes(name: str, count: int) -> Config:
    """The ids of places, device and seeds with which an ``inference.json`` of a generator begins."""
    return {
        "bundle_root": f"bundles/{name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "device": DEVICE,
        "dataset_dir": None,
        "seed": 0,
        "num_volumes": count,
    }


def trained(bundle: str, defaults: Config, chosen: Iterable[str], network: str = "model") -> Config:
    """Return what the weights say of themselves, and an id for each of it; those of another bundle or network are
    refused.

    ``defaults`` stand in for what they do not say; in a packed bundle these are the settings of its own weights.
    """
    return {
        "defaults": defaults,
        "trained": f"$model_settings(@ckpt_path, @defaults, '{bundle}', '{network}')",
        **{setting: f"$@trained['{setting}']" for setting in chosen},
    }


def one_by_one(data: str) -> Config:
    """A dataset of `data`, and its loader."""
    return {
        "dataset": {"_target_": "tools.data.cache.usable_dataset", "data": data, "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
    }


def unscale(low: Any, high: Any) -> Config:
    """[-1, 1] to grey values or HU."""
    return {
        "_target_": "ScaleIntensityRanged",
        "keys": "pred",
        "a_min": -1.0,
        "a_max": 1.0,
        "b_min": low,
        "b_max": high,
        "clip": True,
    }


def whole_numbers() -> Config:
    return {"_target_": "Lambdad", "keys": "pred", "func": "$torch.round"}


UNITS = {"hounsfield": "HU", "magnitude": "grey values"}
"""The unit of an image, by the format that MONAI's metadata names."""


def state_unit(intensities: str) -> Config:
    """The last step of making an image: its unit goes into its metadata, beside the affine."""
    return {"_target_": "tools.transforms.volume.StateUnitd", "keys": "pred", "unit": UNITS[intensities]}


def to_ras() -> Config:
    return {"_target_": "Orientationd", "keys": "pred", "axcodes": "RAS"}


def origin(name: str, version: str) -> Config:
    """Return what every file that is written says of where it comes from."""
    return {
        "origin": {
            "_target_": "tools.io.provenance.Provenance",
            "bundle": name,
            "version": version,
            "weights": "@ckpt_path",
        }
    }


def save_volume(postfix: str, by_id: bool = False) -> list[Config]:
    """A NIfTI file of whole numbers.

    ``by_id`` names it by the item's id; else it has the name of what it was made from.
    """
    named = [{"_target_": "tools.transforms.volume.NameByIdd", "keys": "pred"}] if by_id else []
    return [
        *named,
        {"_target_": "tools.transforms.volume.StateProvenanced", "keys": "pred", "provenance": "@origin"},
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": postfix,
            "output_ext": ".nii.gz",
            "output_dtype": "int16",
            "writer": "tools.transforms.volume.WholeFileWriter",
            "separate_folder": False,
            "resample": False,
        },
    ]


def to_source_grid(key: str, outside: Any) -> Config:
    """What was made of the slices of a scan, on the scan's own voxels."""
    return {
        "_target_": "tools.transforms.squares.ToSourceGridd",
        "keys": key,
        "source": "image",
        "outside": outside,
    }


def save_translation(names: list[str], modality: str) -> Config:
    return {
        "_target_": "tools.transforms.save.SaveTranslationd",
        "keys": "pred",
        "output_dir": "@output_dir",
        "names": names,
        "modality": modality,
        "dicom": "@dicom",
        "provenance": "@origin",
    }


def compose(*transforms: Any) -> Config:
    return {"_target_": "Compose", "transforms": list(transforms)}


def latent_from_seed(latent_dim: Any = "@latent_dim", **more: Any) -> Config:
    """The latent that follows from an item's seed, of a length or a shape."""
    return {"_target_": "tools.transforms.latent.LatentFromSeedd", "latent_dim": latent_dim, **more}


def load_model(path: str, network: str) -> Config:
    return {"_target_": "tools.engines.weights.ModelCheckpointLoader", "path": path, "network": network}


def montage(filename: str, window: Any, **more: Any) -> Config:
    """A picture of what was made, or of what it was made from, whose axes are turned for it by their affine."""
    return {
        "_target_": "tools.engines.montage.MontageSaver",
        "output_dir": "@output_dir",
        "filename": filename,
        **more,
        "window": window,
        "turn": True,
        "view_size": 192,
    }


def comparing() -> Config:
    """How sets of images are compared in a report."""
    return {
        "_target_": "tools.evaluation.settings.ComparisonSettings",
        "resamples": "@resamples",
        "seed": "@seed",
    }


def progress(desc: str) -> Config:
    return {"_target_": "tools.engines.logging.Progress", "desc": desc}


def inference_engines(
    load: dict[str, Config], making: list[Config], writing: list[Config], showing: list[Config], **more: Any
) -> Config:
    """The two parts of inference: ``generation`` makes images, ``writers`` put them into files; `evaluator` does both.

    ``generation`` is an engine that neither loads, writes nor shows: whoever wants images in memory runs it.

    Args:
        load: id -> loader of weights.
        making: transforms from a network's output to "pred", an image in its unit.
        writing: transforms that save "pred".
        showing: handlers for pictures and progress.
        more: further arguments of the engines.
    """
    engine = {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@dataloader",
        "network": "@network",
        **more,
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
    }
    return {
        **load,
        "postprocessing": compose(*making),
        "generation": engine,
        "writers": compose(*writing),
        "handlers": [*(f"@{id}" for id in load), {"_target_": "PostProcessing", "transform": "@writers"}, *showing],
        "evaluator": {**engine, "val_handlers": "@handlers"},
    }


def start_inference(message: str) -> Config:
    return {
        "initialize": ["@check", "$monai.utils.set_determinism(seed=0)"],
        "run": ["$check_settings(output_dir=@output_dir)", "$@evaluator.run()", message],
    }


# --- evaluation, an overlay of train.json ---


def spaces(features: str) -> Config:
    return {
        "features": [features],
        "weights": None,
        "resamples": 100,
        "spaces": {"_target_": "tools.features.spaces.make_spaces", "names": "@features", "weights": "@weights"},
    }


def report(name: str, settings: Iterable[str], **more: Any) -> Config:
    """A report that compares what is made with real images.

    Args:
        name: name of the bundle.
        settings: ids of the config that the report states besides weights and data.
        more: further arguments.
    """
    return {
        "_target_": "tools.evaluation.report_handler.EvaluationReport",
        "output_dir": "@output_dir",
        "real": "@real",
        "spaces": "@spaces",
        "name": name,
        "comparing": comparing(),
        **more,
        "settings": {
            "bundle": name,
            "weights": "@ckpt_path",
            "data": "@data_dir",
            "reference": "@reference",
            **{id: f"@{id}" for id in settings},
        },
    }


def sample_reports(name: str, settings: Iterable[str], image: str = "all", **more: Any) -> Config:
    """Reports on images of samples, and on their labels: `validate#postprocessing` and `report`; samples stay whole.

    Args:
        name: name of the bundle.
        settings: ids of the config that the reports state besides weights and data.
        image: name of the image, or an expression for it.
        more: further arguments.
    """
    one = report(name, settings, channels="@sample_channels", image=image, **more)
    target = "tools.evaluation.sample_reports.SampleReports"
    return {"validate#postprocessing": None, "report": {**one, "_target_": target}}


def run_report() -> Config:
    """The validation's evaluator, with a report in the place of metrics."""
    return {
        "validate#evaluator#key_val_metric": None,
        "validate#evaluator#additional_metrics": None,
        "validate#handlers": [
            load_model("@ckpt_path", "@network"),
            "@report",
            {"_target_": "tools.engines.logging.Progress", "_disabled_": "$@rank > 0", "desc": "Evaluation"},
        ],
        "run": ["$check_settings(output_dir=@output_dir)", "$@validate#evaluator.run()"],
    }


LOGGING = """\
[loggers]
keys=root

[handlers]
keys=console

[formatters]
keys=full

[logger_root]
level=INFO
handlers=console

[handler_console]
class=StreamHandler
level=INFO
formatter=full
args=(sys.stdout,)

[formatter_full]
format=%(asctime)s - %(name)s - %(levelname)s - %(message)s
"""
"""``logging.conf`` of every bundle."""
