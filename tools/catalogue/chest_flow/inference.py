"""`inference.json`, `inpaint.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts
from tools.catalogue.chest_flow.entry import (
    TIMES,
    ChestBundle,
    cube_dataset,
    network,
    noise_from_seed,
    phantoms,
    prepare_noise,
    tell,
    trained,
)
from tools.catalogue.chest_flow.metadata import metadata
from tools.catalogue.diffusion.entry import MOVED, STEPS, sample_channels, scheduler
from tools.catalogue.inpainting_parts import REGION, case_folder, inpainting, region_options
from tools.catalogue.parts import Config

EXTENT = "$@trained['data']['field_of_view_mm']"
"""Extent of a chest along the body in mm."""


WARN = (
    "$warn_unseen([*reversed(@size)], [*reversed(@spacing)], @trained['sizes'], @volume_size, "
    "@trained['data']['field_of_view_mm'])"
)
"""Says so where a size or a spacing is not among those of the training."""


def sampler() -> Config:
    return denoising_parts.sampler(guidance="@guidance", precision="@precision")


def inference(bundle: ChestBundle) -> Config:
    return {
        **parts.where_inference_writes(bundle.name, 4),
        "steps": STEPS,
        **denoising_parts.PRECISION,
        "class_label": None,
        "guidance": 1.0,
        "dicom": False,
        **trained(bundle),
        "size": "$[*reversed(@volume_size)]",
        "spacing": "$[extent / n for extent, n in zip(reversed(@trained['data']['field_of_view_mm']), @size)]",
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check(
            *("device", "seed", "num_volumes", "steps", "precision", "class_label", "guidance", "size", "spacing"),
            *("window", "network_channels", "num_res_blocks", "patch", "num_classes"),
        ),
        "datalist": f"$seed_datalist(@num_volumes, @seed, @num_classes, @class_label, '{bundle.name}')",
        "network_def": network(),
        "network": "$@network_def.to(@device)",
        "scheduler": scheduler(**MOVED),
        "preprocessing": parts.compose(
            noise_from_seed("next_divisible([*reversed(@size)], len(@network_channels), @patch)"),
            tell("$[*reversed(@size)]", spacing="$[*reversed(@spacing)]", extent=EXTENT),
        ),
        **parts.one_by_one("@datalist"),
        "inferer": sampler(),
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
                {"_target_": "CenterSpatialCropd", "keys": "pred", "roi_size": "$[*reversed(@size)]"},
                {
                    "_target_": "tools.transforms.volume.PlaceVolumed",
                    "keys": "pred",
                    "field_of_view": "$[n * mm for n, mm in zip(reversed(@size), reversed(@spacing))]",
                },
                parts.unscale("$@window[0]", "$@window[1]"),
                parts.whole_numbers(),
                parts.to_ras(),
                parts.state_unit("hounsfield"),
            ],
            writing=[
                *parts.save_volume(""),
                {
                    "_target_": "tools.transforms.save.SaveSeriesd",
                    "_disabled_": "$not @dicom",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "modality": "CT",
                    "provenance": "@origin",
                },
            ],
            showing=[parts.montage("montage.png", "@window", provenance="@origin"), parts.progress("Generation")],
            prepare_batch=prepare_noise(),
        ),
        **parts.start_inference(
            "$print('Generated', *[f\"{@output_dir}/{item['name']}.nii.gz\" for item in @datalist], "
            "@output_dir + '/montage.png', sep='\\n  ')"
        ),
        "initialize": ["@check", WARN, "$monai.utils.set_determinism(seed=0)"],
    }


def inpaint(bundle: ChestBundle) -> Config:
    """A sphere in each scan made anew, everything else of which stays as it is."""
    return {
        **parts.where_inference_writes(bundle.name, 4),
        "output_dir": "$@bundle_root + '/inpainted'",
        "steps": STEPS,
        **denoising_parts.PRECISION,
        "class_label": None,
        "guidance": 1.0,
        "diameters": [4.0, 20.0],
        **region_options(),
        "dicom": False,
        **trained(bundle),
        **phantoms(),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check(
            *("device", "seed", "num_volumes", "steps", "precision", "class_label", "guidance", "diameters", *REGION),
            *("window", "network_channels", "num_res_blocks", "patch", "num_classes"),
        ),
        "sample_channels": {**sample_channels(), "images": {"ct": "@window"}, "labels": {"made anew": 1}},
        "network_def": network(),
        "network": "$@network_def.to(@device)",
        "scheduler": scheduler(**MOVED),
        **case_folder(bundle.name),
        "datalist": "$scans_to_inpaint(chest_scans(@data_dir), @num_volumes, @seed, @diameters, @num_classes, "
        "@class_label)",
        **inpainting(
            {"_target_": "tools.transforms.regions.CutSphered", "window": "@window", "times": TIMES},
            sampler(),
            prepare_noise(),
            "@window",
        ),
    }


def evaluate(bundle: ChestBundle) -> Config:
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle),
        "network": "$@network_def.to(@device)",
        **denoising_parts.in_precision(),
        "reference": "validation",
        "real_files": "$reference_files(@reference, @train_files, @val_files)",
        "num_synthetic": "$len(@real_files)",
        **parts.spaces("untrained"),
        "real": cube_dataset("@real_files"),
        "synthetic": f"$seed_datalist(@num_synthetic, @seed, @num_classes, name='{bundle.name}')",
        "validate#preprocessing": parts.compose(
            noise_from_seed("@volume_size"),
            tell(
                "@volume_size",
                spacing="$[extent / n for extent, n in zip(@trained['data']['field_of_view_mm'], @volume_size)]",
                extent=EXTENT,
            ),
        ),
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        "report": parts.report(
            bundle.name, ("volume_size", "steps", "precision"), window="@window", unit=parts.UNITS["hounsfield"]
        ),
        **parts.run_report(),
    }
