"""`inference.json`, `inpaint.json` and `evaluate.json`."""

from __future__ import annotations

from typing import Any

from tools.catalogue import parts
from tools.catalogue.chest_control.entry import CONDITIONS, ControlBundle, definitions, prepare, trained
from tools.catalogue.chest_control.metadata import metadata
from tools.catalogue.chest_control.training import told
from tools.catalogue.diffusion.entry import STEPS, labelled_volumes, sample_channels, sampler, scheduler
from tools.catalogue.parts import Config

SIZES = ("network_channels", "num_res_blocks", "patch", "control")
"""Ids of the network's sizes that are looked at."""

TIMES = "$@patch * 2 ** (len(@network_channels) - 1)"
"""Number by which the network's sides are divisible."""


def ready(bundle: ControlBundle, folder: str, options: Config, *checked: str) -> Config:
    """The ids with which both begin: places, options, what the weights say, and the network."""
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": f"$@bundle_root + '/{folder}'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "device": parts.DEVICE,
        "dataset_dir": None,
        "maps_dir": "$@bundle_root + '/phantoms' if @dataset_dir is None else @dataset_dir",
        "seed": 0,
        "num_volumes": 4,
        "steps": STEPS,
        **options,
        "dicom": False,
        **trained(bundle),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", "seed", "num_volumes", "steps", *checked, *SIZES),
        "sample_channels": sample_channels(),
        **definitions(),
        "network": "$@network_def.to(@device)",
        "scheduler": scheduler(),
        "folder": {
            "_target_": "tools.io.labelled_folder.LabelledFolder",
            "folder": "@output_dir",
            "name": bundle.name,
            "images": "$[*@sample_channels.images]",
            "classes": "$@sample_channels.classes",
            "modality": "CT",
            "layout": "$'dicom' if @dicom else 'nifti'",
        },
    }


def engines(picture: str, preparing: Config, making: list[Config], writing: Config, **shown: Any) -> Config:
    """From the network to files, a labelled folder and a picture."""
    return {
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=making,
            writing=[{**writing, "channels": "@sample_channels", "folder": "@folder", "provenance": "@origin"}],
            showing=[
                parts.montage(f"{picture}.png", shown.pop("window"), provenance="@origin", **shown),
                parts.progress("Generation"),
            ],
            prepare_batch=preparing,
        ),
        **parts.start_inference(
            f"$print('Wrote', @folder.finish() or @output_dir, 'and', @output_dir + '/{picture}.png')"
        ),
    }


def inference(bundle: ControlBundle) -> Config:
    return {
        **ready(bundle, "eval", {"size": None}),
        "datalist": f"$label_maps(@maps_dir, @num_volumes, @seed, '{bundle.name}')",
        "preprocessing": parts.compose(
            {
                "_target_": "tools.transforms.label_maps.LoadLabelMapd",
                "channels": "@sample_channels",
                "size": "$None if @size is None else [*reversed(@size)]",
            },
            {
                "_target_": "tools.transforms.label_maps.AskForLabelsd",
                "channels": "@sample_channels",
                "times": TIMES,
                "height": "$@trained['data']['field_of_view_mm'][0]",
            },
        ),
        **parts.one_by_one("@datalist"),
        "inferer": sampler(),
        **engines(
            "montage",
            prepare(),
            making=[
                {
                    "_target_": "tools.transforms.label_maps.PairWithLabelMapd",
                    "keys": "pred",
                    "channels": "@sample_channels",
                },
                parts.to_ras(),
                {"_target_": "tools.transforms.volume.StateUnitd", "keys": "pred", "unit": "[-1, 1]"},
            ],
            writing={"_target_": "tools.transforms.labelled.WriteSamplesd"},
            window=[-1, 1],
            names="$@sample_channels.names",
        ),
    }


def inpaint(bundle: ControlBundle) -> Config:
    """A class made anew in scans with label maps, everything else of which stays as it is."""
    options = {"region": next(reversed(bundle.labels)), "sphere": None, "margin": 2.0, "context": 16, "repeats": 4}
    return {
        **ready(bundle, "inpainted", options, "margin", "context", "repeats"),
        "datalist": f"$labelled_scans(@maps_dir, @num_volumes, @seed, '{bundle.name}')",
        "preprocessing": parts.compose(
            {
                "_target_": "tools.transforms.regions.CutRegiond",
                "channels": "@sample_channels",
                "times": TIMES,
                **{id: f"@{id}" for id in ("region", "sphere", "margin", "context")},
            }
        ),
        **parts.one_by_one("@datalist"),
        "inferer": {**sampler(), "_target_": "tools.engines.inpainting.InpaintingSampler", "repeats": "@repeats"},
        **engines(
            "inpainted",
            {**prepare(), "conditions": {**CONDITIONS, "known": "known", "mask": "mask"}},
            making=[
                {"_target_": "tools.transforms.regions.PasteRegiond", "keys": "pred", "window": "$@images['ct']"},
                parts.to_ras(),
                parts.state_unit("hounsfield"),
            ],
            writing={"_target_": "tools.transforms.labelled.WriteCasesd", "keys": "pred", "label_key": "label_map"},
            window="$@images['ct']",
            beside={"before": "$@images['ct']"},
        ),
    }


def evaluate(bundle: ControlBundle) -> Config:
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle),
        "network": "$@network_def.to(@device)",
        "reference": "validation",
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        **parts.spaces("untrained"),
        "real": labelled_volumes("@real_data"),
        "validate#dataset": told("$with_seeds(@real_data, @seed)"),
        "validate#evaluator#network": "@network",
        "report": {
            "_target_": "tools.evaluation.report_handler.EvaluationReport",
            "output_dir": "@output_dir",
            "real": "@real",
            "spaces": "@spaces",
            "name": bundle.name,
            "comparing": parts.comparing(),
            "window": "$@images['ct']",
            "unit": parts.UNITS["hounsfield"],
            "settings": {
                "bundle": bundle.name,
                "weights": "@ckpt_path",
                "data": "@data_dir",
                "reference": "@reference",
                "volume_size": "@volume_size",
                "steps": "@steps",
            },
        },
        **parts.run_report(),
    }
