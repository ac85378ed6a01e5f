"""`inference.json`, in both directions, and `evaluate.json` of the family."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.cyclegan.entry import TRAINED, TranslationBundle, defaults, generator
from tools.catalogue.cyclegan.metadata import metadata
from tools.catalogue.parts import Config


def inference(bundle: TranslationBundle, to_mr: bool = False) -> Config:
    """From MR to CT, or the other way."""
    weights, picture = ("model_ct2mr", "montage_mr") if to_mr else ("model", "montage")
    window = [0, 1000] if to_mr else "@window"
    low, high = (0.0, 1000.0) if to_mr else ("$@window[0]", "$@window[1]")
    pool = ", pool=True" if bundle.pool and not to_mr else ""
    branches = len(bundle.branches)
    given, made = ("ct", bundle.branches) if to_mr else ("mr", ("ct",))
    # the CT of a translated CT is itself
    truth = [] if to_mr else [{"_target_": "tools.transforms.truth.TrueCTd", "keys": given, "truth": "@truth"}]
    after = {} if to_mr else {"after": {"true_ct": window}}
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": f"$@bundle_root + '/models/{weights}.pt'",
        "device": parts.DEVICE,
        "dataset_dir": None,
        **bundle.phantoms(),
        "studies_dir": "$@data_dir + '/Test_Sets' if @dataset_dir is None else @data_dir",
        "dicom": False,
        "inference_batch_size": None,
        "fuse": True,
        "mirror": False,
        "modalities": ["ct"] if to_mr else list(bundle.modalities),
        **parts.trained(bundle.name, defaults(256), TRAINED, weights),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", "inference_batch_size", *TRAINED),
        "studies": f"$translation_studies(@studies_dir, @modalities{pool})",
        **({} if to_mr else {"truth": "$true_ct(@data_dir)"}),
        "network_def": generator(1, branches) if to_mr else generator(branches, 1),
        "network": "$@network_def.to(@device)",
        "preprocessing": "$ct_slices(@image_size, @window, @field_of_view)"
        if to_mr
        else "$mr_slices(@image_size, @field_of_view)",
        **parts.one_by_one("@studies"),
        "inferer": {
            "_target_": "tools.engines.translation.SlabInferer",
            "slices": "@slices",
            "batch_size": "@inference_batch_size",
            "fuse": "@fuse",
            "mirror": "@mirror",
        },
        **parts.inference_engines(
            load={"load_weights": parts.load_model("@ckpt_path", "@network")},
            making=[
                parts.unscale(low, high),
                parts.to_source_grid("pred", 0 if to_mr else "$@window[0]"),
                parts.whole_numbers(),
                {"_target_": "tools.transforms.squares.ToSourceAxesd", "keys": "pred"},
                parts.state_unit("magnitude" if to_mr else "hounsfield"),
            ],
            writing=[
                parts.save_translation(list(made), "MR" if to_mr else "CT"),
                # for the picture: what it was made from, and what it should have been
                {"_target_": "CopyItemsd", "keys": "image", "names": given},
                parts.to_source_grid(given, -1),
                *truth,
            ],
            showing=[
                parts.montage(
                    f"{picture}.png",
                    window,
                    provenance="@origin",
                    beside={given: [-1, 1]},
                    **after,
                    names=list(made),
                ),
                parts.progress("Translation"),
            ],
        ),
        **parts.start_inference(
            "$print('Translated', *[f\"{item['id']}\" for item in @dataset.data], 'to ' + @output_dir, sep='\\n  ')"
        ),
    }


def evaluate(bundle: TranslationBundle) -> Config:
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **parts.trained(bundle.name, defaults("$@scales[@scale]['image_size']"), TRAINED),
        "truth": "$true_ct(@data_dir)",
        "val_mr": f"${bundle.mr_studies('validation')}",
        "val_ct": f"${bundle.ct_studies('validation')}",
        **parts.spaces("untrained-slices"),
        "real": {
            "_target_": "tools.data.cache.usable_dataset",
            "data": "@val_ct",
            "transform": bundle.ct_slices("@image_size"),
        },
        "validate#preprocessing": "$mr_slices(@image_size, @field_of_view)",
        "validate#dataset": {
            "_target_": "tools.data.cache.usable_dataset",
            "data": "@val_mr",
            "transform": "@validate#preprocessing",
        },
        "report": {
            "_target_": "tools.evaluation.translation.TranslationReport",
            "output_dir": "@output_dir",
            "real": "@real",
            "spaces": "@spaces",
            "window": "@window",
            "truth": "@truth",
            "name": bundle.name,
            "comparing": parts.comparing(),
            "settings": {
                "bundle": bundle.name,
                "weights": "@ckpt_path",
                "data": "$@data_dir or [@mr_dir, @ct_dir]",
                "image_size": "@image_size",
                "window": "@window",
            },
        },
        **parts.run_report(),
    }
