"""Parts of `inference.json` of bundles that make images together with their labels, volumes or slices."""

from __future__ import annotations

from typing import Any

from tools.catalogue import parts
from tools.catalogue.parts import Config


def labelled_engines(
    name: str,
    modality: str,
    prepare_batch: Config | None = None,
    layout: str | None = None,
    placing: Config | None = None,
    **showing: Any,
) -> Config:
    """From a network's samples to a labelled folder: from `folder` to the end of the config.

    Args:
        name: name of the bundle, which is the folder's.
        modality: kind of the images' voxels, "MR" or "CT".
        prepare_batch: callable that hands a batch to the network; None takes its "image".
        layout: layout of the folder, if it is an option.
        placing: transform that gives samples their place; None places them by `field_of_view`.
        showing: further arguments of the picture.
    """
    return {
        "folder": {
            "_target_": "tools.io.labelled_folder.LabelledFolder",
            "folder": "@output_dir",
            "name": name,
            "images": "$[*@sample_channels.images]",
            "classes": "$@sample_channels.classes",
            "modality": modality,
            **({} if layout is None else {"layout": layout}),
        },
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
                placing
                or {
                    "_target_": "tools.transforms.volume.PlaceVolumed",
                    "keys": "pred",
                    "field_of_view": "@field_of_view",
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
                parts.montage("montage.png", [-1, 1], provenance="@origin", names="$@sample_channels.names", **showing),
                parts.progress("Generation"),
            ],
            **({} if prepare_batch is None else {"prepare_batch": prepare_batch}),
        ),
        **parts.start_inference("$print('Wrote', @folder.finish(), 'and', @output_dir + '/montage.png')"),
    }
