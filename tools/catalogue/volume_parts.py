"""Parts of `inference.json` of bundles that make whole volumes in the unit of their data."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.parts import Config


def volume_engines(intensities: str, prepare_batch: Config) -> Config:
    """From a network's samples to NIfTI files, from `load_weights` to the end of the config.

    Args:
        intensities: format of the values, a key of `parts.UNITS`.
        prepare_batch: callable that hands a batch to the network.
    """
    return {
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
                {
                    "_target_": "tools.transforms.volume.PlaceVolumed",
                    "keys": "pred",
                    "field_of_view": "@field_of_view",
                },
                *in_unit(intensities),
            ],
            writing=parts.save_volume(""),
            showing=[parts.montage("montage.png", "@window", provenance="@origin"), parts.progress("Generation")],
            prepare_batch=prepare_batch,
        ),
        **parts.start_inference(
            "$print('Generated', *[f\"{@output_dir}/{item['name']}.nii.gz\" for item in @datalist], "
            "@output_dir + '/montage.png', sep='\\n  ')"
        ),
    }


def in_unit(intensities: str) -> list[Config]:
    """From [-1, 1] to whole numbers of the data's unit, with axes to the right, the front and the head."""
    return [
        parts.unscale("$@window[0]", "$@window[1]"),
        parts.whole_numbers(),
        parts.to_ras(),
        parts.state_unit(intensities),
    ]


def volumes_to_reconstruct(datalist: str, preprocessing: str) -> Config:
    """Volumes of a folder in [-1, 1] for a network that takes them: from `datalist` to `inferer`."""
    scaled = {
        "_target_": "ScaleIntensityRanged",
        "keys": "image",
        "a_min": "$@window[0]",
        "a_max": "$@window[1]",
        "b_min": -1.0,
        "b_max": 1.0,
        "clip": True,
    }
    return {
        "datalist": datalist,
        "preprocessing": parts.compose(preprocessing, scaled),
        **parts.one_by_one("@datalist"),
        "inferer": {"_target_": "SimpleInferer"},
    }


def reconstruction_engines(intensities: str, load: Config, prepare_batch: str) -> Config:
    """From reconstructed volumes to NIfTI files on their voxels, to the end of the config.

    Args:
        intensities: format of the values, a key of `parts.UNITS`.
        load: id -> loader of weights.
        prepare_batch: expression for what hands a batch to the network.
    """
    return {
        **parts.inference_engines(
            load=load,
            making=in_unit(intensities),
            writing=parts.save_volume("reconstruction", by_id=True),
            showing=[
                parts.montage("reconstruction.png", "@window", provenance="@origin"),
                parts.montage("input.png", [-1, 1], pred_key="image"),
                parts.progress("Reconstruction"),
            ],
            prepare_batch=prepare_batch,
        ),
        **parts.start_inference("$print('Reconstructed', len(@dataset), 'volumes in', @output_dir)"),
    }
