"""`inference.json`, `inpaint.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.labelled_parts import labelled_engines
from tools.catalogue.nodule_gan.entry import (
    MIDDLE,
    PAPER,
    SHAPE,
    NoduleBundle,
    crops,
    inferer,
    network,
    phantoms,
    sample_channels,
    trained,
)
from tools.catalogue.nodule_gan.metadata import metadata
from tools.catalogue.parts import Config


def ready(bundle: NoduleBundle, options: Config, datalist: str, *checked: str) -> Config:
    """The ids with which both begin: places, options, what the weights say, the network, and scans cut up for it."""
    return {
        **parts.where_inference_writes(bundle.name, 4),
        **options,
        **phantoms(),
        **trained(bundle, PAPER),
        "diameters": "$[*@trained['diameters']]",
        "margin": MIDDLE,
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", "seed", "num_volumes", *SHAPE, "diameters", "margin", *checked),
        "datalist": datalist,
        "sample_channels": sample_channels(),
        "network_def": network(),
        "network": "$@network_def.to(@device)",
        "preprocessing": parts.compose(
            {
                "_target_": "tools.transforms.nodules.CutNodulesd",
                "window": "$@images['ct']",
                "size": "@image_size",
                "spacing": "@voxel_size",
                "margin": "@margin",
            }
        ),
        **parts.one_by_one("@datalist"),
        "inferer": inferer(),
    }


def inference(bundle: NoduleBundle) -> Config:
    """Crops with a nodule, as a labelled folder."""
    datalist = f"$seeded_nodules(chest_scans(@data_dir), @num_volumes, @seed, @diameters, '{bundle.name}')"
    return {
        **ready(bundle, {}, datalist),
        **labelled_engines(
            bundle.name,
            "CT",
            placing={
                "_target_": "tools.transforms.nodules.PairWithNoduled",
                "keys": "pred",
                "channels": "@sample_channels",
            },
            beside={"before": [-1, 1]},
        ),
    }


def inpaint(bundle: NoduleBundle) -> Config:
    """Whole scans with nodules painted into them, for a detector."""
    options = {"output_dir": "$@bundle_root + '/inpainted'", "nodules": 2, "places": None}
    window = "$@images['ct']"
    datalist = "$scans_to_paint(chest_scans(@data_dir), @num_volumes, @seed, @nodules, @diameters, @places)"
    return {
        **ready(bundle, options, datalist, "nodules"),
        "folder": {"_target_": "tools.io.painted_folder.PaintedFolder", "folder": "@output_dir"},
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
                {
                    "_target_": "tools.transforms.nodules.PasteNodulesd",
                    "keys": "pred",
                    "window": "$@images['ct']",
                    "margin": "@margin",
                },
                parts.state_unit("hounsfield"),
            ],
            writing=[
                {
                    "_target_": "tools.transforms.nodules.WritePaintedd",
                    "keys": "pred",
                    "folder": "@folder",
                    "provenance": "@origin",
                },
                # for the picture: what is around the first nodule
                {
                    "_target_": "tools.transforms.crops.CropCubed",
                    "keys": ["before", "pred"],
                    "size": "$2 * @image_size",
                    "spacing": "@voxel_size",
                },
            ],
            showing=[
                parts.montage("inpainted.png", window, provenance="@origin", beside={"before": window}),
                parts.progress("Painting"),
            ],
        ),
        **parts.start_inference("$print('Wrote', @folder.finish(), 'and', @output_dir + '/inpainted.png')"),
    }


def evaluate(bundle: NoduleBundle) -> Config:
    """Held-out nodules painted anew, beside the true ones."""
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle, "$@scales[@scale]"),
        "network": "$@network_def.to(@device)",
        "reference": "validation",
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        **parts.spaces("untrained"),
        "real": crops("@real_data"),
        "validate#dataset": {
            "_target_": "Dataset",
            "data": crops("$with_seeds(@real_data, @seed)"),
            "transform": "@validate#preprocessing",
        },
        "validate#evaluator#network": "@network",
        "report": parts.report(
            bundle.name, ("image_size", "voxel_size"), window="$@images['ct']", unit=parts.UNITS["hounsfield"]
        ),
        **parts.run_report(),
    }
