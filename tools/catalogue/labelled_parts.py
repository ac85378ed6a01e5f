"""Parts of `inference.json` of bundles that make images together with their labels, volumes or slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.catalogue import parts
from tools.catalogue.parts import Config

ENLARGE: Config = {"enlarge": 1}
"""Option of the inference of labelled volumes: voxels a side of the files for each of the network's."""


def enlarged() -> Config:
    """Samples on more voxels, before it is decided which class a voxel has: edges of labels then run between the
    network's voxels, as the channels do.
    """
    return {
        "_target_": "Zoomd",
        "keys": "pred",
        "zoom": "@enlarge",
        "mode": "trilinear",
        "keep_size": False,
        "_disabled_": "$@enlarge == 1",
    }


def labelled_engines(
    name: str,
    modality: str,
    prepare_batch: Config | None = None,
    layout: str | None = None,
    placing: Config | None = None,
    load: Config | None = None,
    picture: str = "montage.png",
    desc: str = "Generation",
    name_key: str | None = None,
    before: Sequence[Config] = (),
    **showing: Any,
) -> Config:
    """From a network's samples to a labelled folder: from `folder` to the end of the config.

    Args:
        name: name of the bundle, which is the folder's.
        modality: kind of the images' voxels, "MR" or "CT".
        prepare_batch: callable that hands a batch to the network; None takes its "image".
        layout: layout of the folder, if it is an option.
        placing: transform that gives samples their place; None places them by `field_of_view`.
        load: id -> loader of weights, where it is not the one network's.
        picture: file of the picture of what was made.
        desc: word for what is done.
        name_key: key of the cases' names, where they have others than those of seeds.
        before: transforms of samples before they get their place.
        showing: further arguments of the picture.
    """
    named = {} if name_key is None else {"name_key": name_key}
    return {
        "folder": {
            "_target_": "tools.io.labelled_folder.LabelledFolder",
            "folder": "@output_dir",
            "name": name,
            "images": "$[*@sample_channels.images]",
            "classes": "$@sample_channels.classes",
            "modality": modality,
            **({} if layout is None else {"layout": layout}),
            "grey_values": "$@sample_channels.grey_values",
        },
        **parts.inference_engines(
            load=load or {"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
                *before,
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
                    **named,
                }
            ],
            showing=[
                parts.montage(picture, [-1, 1], provenance="@origin", names="$@sample_channels.names", **showing),
                parts.progress(desc),
            ],
            **({} if prepare_batch is None else {"prepare_batch": prepare_batch}),
        ),
        **parts.start_inference(f"$print('Wrote', @folder.finish(), 'and', @output_dir + '/{picture}')"),
    }
