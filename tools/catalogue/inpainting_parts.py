"""Parts of `inference.json` and `inpaint.json` of bundles that write CT with label maps, and make regions anew."""

from __future__ import annotations

from typing import Any

from tools.catalogue import parts
from tools.catalogue.parts import Config

REGION = ("sphere", "margin", "context", "repeats")
"""Ids of how a region is made anew."""

PICTURE = {"size": 96, "spacing": 1.0}
"""Voxels a side, and mm, of what the picture shows around a region."""


def region_options() -> Config:
    """Options of what is made anew, and of how."""
    return {"sphere": None, "margin": 2.0, "context": 16, "repeats": 4}


def case_folder(name: str) -> Config:
    """The labelled folder of a bundle that makes CT, in NIfTI or DICOM."""
    return {
        "folder": {
            "_target_": "tools.io.labelled_folder.LabelledFolder",
            "folder": "@output_dir",
            "name": name,
            "images": "$[*@sample_channels.images]",
            "classes": "$@sample_channels.classes",
            "modality": "CT",
            "layout": "$'dicom' if @dicom else 'nifti'",
        }
    }


def case_engines(
    picture: str, preparing: Config, making: list[Config], writing: list[Config], window: Any, **shown: Any
) -> Config:
    """From the network to files, a labelled folder and a picture.

    Args:
        picture: name of the picture's file, without its end.
        preparing: callable that hands a batch to the network.
        making: transforms from a sample to an image with its unit.
        writing: the transform into the folder, without what all have, and transforms that follow for the picture.
        window: window of the picture.
        shown: further arguments of it.
    """
    into, *then = writing
    return {
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=making,
            writing=[
                {**into, "channels": "@sample_channels", "folder": "@folder", "provenance": "@origin"},
                *then,
            ],
            showing=[
                parts.montage(f"{picture}.png", window, provenance="@origin", **shown),
                parts.progress("Generation"),
            ],
            prepare_batch=preparing,
        ),
        **parts.start_inference(
            f"$print('Wrote', @folder.finish() or @output_dir, 'and', @output_dir + '/{picture}.png')"
        ),
    }


def inpainting(cutting: Config, sampler: Config, preparing: Config, window: str) -> Config:
    """From the items of `datalist` on: regions cut out, made anew (RePaint), put back and written.

    Args:
        cutting: transform that cuts a region out, without what all have.
        sampler: sampler of whole volumes.
        preparing: callable that hands a batch to the network.
        window: expression of the HU of -1 and 1.
    """
    options = {id: f"@{id}" for id in ("sphere", "margin", "context")}
    return {
        "preprocessing": parts.compose({**cutting, **options}),
        **parts.one_by_one("@datalist"),
        "inferer": {**sampler, "_target_": "tools.engines.inpainting.InpaintingSampler", "repeats": "@repeats"},
        **case_engines(
            "inpainted",
            {**preparing, "conditions": {**preparing["conditions"], "known": "known", "mask": "mask"}},
            making=[
                {"_target_": "tools.transforms.regions.PasteRegiond", "keys": "pred", "window": window},
                parts.to_ras(),
                parts.state_unit("hounsfield"),
            ],
            writing=[
                {"_target_": "tools.transforms.labelled.WriteCasesd", "keys": "pred", "label_key": "label_map"},
                {"_target_": "tools.transforms.crops.CropCubed", "keys": ["before", "pred"], **PICTURE},
            ],
            window=window,
            beside={"before": window},
        ),
    }
