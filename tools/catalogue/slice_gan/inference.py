"""`inference.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.catalogue.slice_gan.entry import (
    GSP_FILES,
    PAPER,
    ConditionBundle,
    inferer,
    network,
    phantoms,
    trained,
    volumes,
)
from tools.catalogue.slice_gan.metadata import metadata


def inference(bundle: ConditionBundle) -> Config:
    held_out = f"{GSP_FILES.format('validation')} if @dataset_dir is None else volume_datalist(@data_dir)"
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "device": parts.DEVICE,
        "dataset_dir": None,
        **phantoms(),
        "conditions": None,
        "dicom": False,
        "inference_batch_size": None,
        **trained(bundle, PAPER),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", "inference_batch_size", "image_size", "channels", "window", "field_of_view"),
        "datalist": f"$asked_volumes({held_out}, @conditions, @condition_column, @condition_range)",
        "network_def": network(),
        "network": "$@network_def.to(@device)",
        "preprocessing": parts.compose(
            "$mr_slices(@image_size, @field_of_view)", {"_target_": "tools.transforms.condition.AskForConditiond"}
        ),
        **parts.one_by_one("@datalist"),
        "inferer": {**inferer(), "batch_size": "@inference_batch_size"},
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
                parts.unscale("$@window[0]", "$@window[1]"),
                parts.to_source_grid("pred", "$@window[0]"),
                parts.whole_numbers(),
                {"_target_": "tools.transforms.squares.ToSourceAxesd", "keys": "pred"},
                parts.state_unit("magnitude"),
            ],
            writing=[
                parts.save_translation(["t1"], "MR"),
                # for the picture: what it was made from
                {
                    "_target_": "Lambdad",
                    "keys": "image",
                    "func": "$lambda both: both[:1]",
                    "overwrite": "given",
                },
                parts.to_source_grid("given", -1),
            ],
            showing=[
                parts.montage("montage.png", "@window", provenance="@origin", beside={"given": [-1, 1]}, names=["t1"]),
                parts.progress("Translation"),
            ],
        ),
        **parts.start_inference(
            "$print('Wrote', *[f\"{item['id']}\" for item in @dataset.data], 'to ' + @output_dir, sep='\\n  ')"
        ),
    }


def evaluate(bundle: ConditionBundle) -> Config:
    """Held-out volumes under the condition of others, beside the real ones."""
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle, "$@scales[@scale]"),
        "network": "$@network_def.to(@device)",
        "reference": "validation",
        "real_data": "$with_others_conditions(reference_files(@reference, @train_data, @val_data))",
        **parts.spaces("untrained"),
        "real": volumes("@real_data")["data"],
        "validate#dataset": volumes("@real_data"),
        "validate#evaluator#network": "@network",
        "report": parts.report(bundle.name, ("image_size", "condition_column", "condition_range"), window="@window"),
        **parts.run_report(),
    }
