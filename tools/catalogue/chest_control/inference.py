"""`inference.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.chest_control.entry import ControlBundle, definitions, prepare, trained
from tools.catalogue.chest_control.metadata import metadata
from tools.catalogue.chest_control.training import told
from tools.catalogue.diffusion.entry import STEPS, labelled_volumes, sample_channels, sampler, scheduler
from tools.catalogue.parts import Config


def inference(bundle: ControlBundle) -> Config:
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "device": parts.DEVICE,
        "dataset_dir": None,
        "maps_dir": "$@bundle_root + '/phantoms' if @dataset_dir is None else @dataset_dir",
        "seed": 0,
        "num_volumes": 4,
        "steps": STEPS,
        "size": None,
        "dicom": False,
        **trained(bundle),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check(
            *("device", "seed", "num_volumes", "steps", "network_channels", "num_res_blocks", "patch", "control")
        ),
        "datalist": f"$label_maps(@maps_dir, @num_volumes, @seed, '{bundle.name}')",
        "sample_channels": sample_channels(),
        **definitions(),
        "network": "$@network_def.to(@device)",
        "scheduler": scheduler(),
        "preprocessing": parts.compose(
            {
                "_target_": "tools.transforms.label_maps.LoadLabelMapd",
                "channels": "@sample_channels",
                "size": "$None if @size is None else [*reversed(@size)]",
            },
            {
                "_target_": "tools.transforms.label_maps.AskForLabelsd",
                "channels": "@sample_channels",
                "times": "$@patch * 2 ** (len(@network_channels) - 1)",
                "height": "$@trained['data']['field_of_view_mm'][0]",
            },
        ),
        **parts.one_by_one("@datalist"),
        "inferer": sampler(),
        "folder": {
            "_target_": "tools.io.labelled_folder.LabelledFolder",
            "folder": "@output_dir",
            "name": bundle.name,
            "images": "$[*@sample_channels.images]",
            "classes": "$@sample_channels.classes",
            "modality": "CT",
            "layout": "$'dicom' if @dicom else 'nifti'",
        },
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
                {
                    "_target_": "tools.transforms.label_maps.PairWithLabelMapd",
                    "keys": "pred",
                    "channels": "@sample_channels",
                },
                parts.to_ras(),
                {"_target_": "tools.transforms.volume.StateUnitd", "keys": "pred", "unit": "[-1, 1]"},
            ],
            writing=[
                {
                    "_target_": "tools.transforms.labelled.WriteSamplesd",
                    "channels": "@sample_channels",
                    "folder": "@folder",
                    "provenance": "@origin",
                }
            ],
            showing=[
                parts.montage("montage.png", [-1, 1], provenance="@origin", names="$@sample_channels.names"),
                parts.progress("Generation"),
            ],
            prepare_batch=prepare(),
        ),
        **parts.start_inference(
            "$print('Wrote', @folder.finish() or @output_dir, 'and', @output_dir + '/montage.png')"
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
