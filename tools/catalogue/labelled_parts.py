"""Parts of `inference.json` of bundles that make images together with their labels, volumes or slices."""

from __future__ import annotations

from typing import Any

from tools.catalogue import parts
from tools.catalogue.parts import Config


def labelled_engines(
    name: str,
    modality: str,
<<<<<<< HEAD
    prepare_batch: Config | None = None,
    layout: str | None = None,
    placing: Config | None = None,
    **showing: Any,
=======
    prepare_batch: Config,
    layout: str | None = None,
    load: Config | None = None,
    picture: str = "montage.png",
    desc: str = "Generation",
    place: Config | None = None,
>>>>>>> e8c2a4a (GANs of whole volumes: WGAN, VAE-GAN, alpha-GAN, CCE-GAN and 3D-GAN as networks and objectives; alpha_gan_hippocampus)
) -> Config:
    """From a network's samples to a labelled folder: from `folder` to the end of the config.

    Args:
        name: name of the bundle, which is the folder's.
        modality: kind of the images' voxels, "MR" or "CT".
        prepare_batch: callable that hands a batch to the network; None takes its "image".
        layout: layout of the folder, if it is an option.
<<<<<<< HEAD
        placing: transform that gives samples their place; None places them by `field_of_view`.
        showing: further arguments of the picture.
=======
        load: id -> loader of weights, where it is not the one network's.
        picture: file of the picture of what was made.
        desc: word for what is done.
        place: arguments of `PlaceVolumed` and of the writer on names and extent, where samples have their own.
>>>>>>> e8c2a4a (GANs of whole volumes: WGAN, VAE-GAN, alpha-GAN, CCE-GAN and 3D-GAN as networks and objectives; alpha_gan_hippocampus)
    """
    placed = {"field_of_view": "@field_of_view"} if place is None else place
    named = {key: value for key, value in placed.items() if key == "name_key"}
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
            load=load or {"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
<<<<<<< HEAD
                placing
                or {
                    "_target_": "tools.transforms.volume.PlaceVolumed",
                    "keys": "pred",
                    "field_of_view": "@field_of_view",
                },
=======
                {"_target_": "tools.transforms.volume.PlaceVolumed", "keys": "pred", **placed},
>>>>>>> e8c2a4a (GANs of whole volumes: WGAN, VAE-GAN, alpha-GAN, CCE-GAN and 3D-GAN as networks and objectives; alpha_gan_hippocampus)
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
<<<<<<< HEAD
                parts.montage("montage.png", [-1, 1], provenance="@origin", names="$@sample_channels.names", **showing),
                parts.progress("Generation"),
=======
                parts.montage(picture, [-1, 1], provenance="@origin", names="$@sample_channels.names"),
                parts.progress(desc),
>>>>>>> e8c2a4a (GANs of whole volumes: WGAN, VAE-GAN, alpha-GAN, CCE-GAN and 3D-GAN as networks and objectives; alpha_gan_hippocampus)
            ],
            **({} if prepare_batch is None else {"prepare_batch": prepare_batch}),
        ),
        **parts.start_inference(f"$print('Wrote', @folder.finish(), 'and', @output_dir + '/{picture}')"),
    }
