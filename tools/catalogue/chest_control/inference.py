"""`inference.json`, `inpaint.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts
from tools.catalogue.chest_control.entry import ControlBundle, definitions, prepare, trained
from tools.catalogue.chest_control.metadata import metadata
from tools.catalogue.chest_control.training import told
from tools.catalogue.chest_flow.entry import TIMES
from tools.catalogue.diffusion.entry import MOVED, STEPS, labelled_volumes, sample_channels, scheduler
from tools.catalogue.inpainting_parts import REGION, case_engines, case_folder, inpainting, region_options
from tools.catalogue.parts import Config

SIZES = ("network_channels", "num_res_blocks", "patch", "control")
"""Ids of the network's sizes that are looked at."""


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
        **denoising_parts.PRECISION,
        **options,
        "dicom": False,
        **trained(bundle),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", "seed", "num_volumes", "steps", "precision", *checked, *SIZES),
        "sample_channels": sample_channels(),
        **definitions(),
        "network": "$@network_def.to(@device)",
        "scheduler": scheduler(**MOVED),
        **case_folder(bundle.name),
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
                "extent": "$@trained['data']['field_of_view_mm']",
            },
        ),
        **parts.one_by_one("@datalist"),
        "inferer": denoising_parts.sampler(precision="@precision"),
        **case_engines(
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
            writing=[{"_target_": "tools.transforms.labelled.WriteSamplesd"}],
            window=[-1, 1],
            names="$@sample_channels.names",
        ),
    }


def inpaint(bundle: ControlBundle) -> Config:
    """A class made anew in scans with label maps, everything else of which stays as it is."""
    options = {"region": next(reversed(bundle.labels)), **region_options()}
    return {
        **ready(bundle, "inpainted", options, *REGION),
        "datalist": f"$labelled_scans(@maps_dir, @num_volumes, @seed, '{bundle.name}')",
        **inpainting(
            {
                "_target_": "tools.transforms.regions.CutRegiond",
                "channels": "@sample_channels",
                "times": TIMES,
                "region": "@region",
            },
            denoising_parts.sampler(precision="@precision"),
            prepare(),
            "$@images['ct']",
        ),
    }


def evaluate(bundle: ControlBundle) -> Config:
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle),
        "network": "$@network_def.to(@device)",
        **denoising_parts.in_precision(),
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
                "precision": "@precision",
            },
        },
        **parts.run_report(),
    }
