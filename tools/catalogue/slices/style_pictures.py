"""`mixing.json` and `interpolation.json` of generators with styles, and `projection.json` of StyleGAN2."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.catalogue.slices.inference import trained
from tools.catalogue.slices.maker import SliceBundle, SliceMaker
from tools.catalogue.slices.training import classed, sample_channels, store, weights


def style_pictures(bundle: SliceBundle, version: str, maker: SliceMaker) -> dict[str, Config]:
    """Return the configs by name: a grid of mixed styles, and a way from sample to sample.

    Args:
        bundle: the bundle.
        version: version of the bundle.
        maker: description of how it makes slices.
    """
    return {
        "mixing": _picture(
            bundle,
            version,
            maker,
            {"rows": 4, "columns": 6, "coarse_layers": 4, "channel": "$[*@images][0]"},
            "save_mixing(@samples, @output_dir + '/mixing.png', @seed, @rows, @columns, @coarse_layers, "
            "@sample_channels.names.index(@channel), @origin)",
        ),
        "interpolation": _picture(
            bundle,
            version,
            maker,
            {"stops": 3, "steps": 4, "frames": 24, "film": "gif"},
            "*save_way(@samples, @output_dir, @seed, @stops, @steps, @frames, @film, @sample_channels.names, @origin)",
        ),
    }


def _picture(bundle: SliceBundle, version: str, maker: SliceMaker, options: Config, written: str) -> Config:
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "device": parts.DEVICE,
        "seed": 0,
        **options,
        "class_label": None,
        **maker.options,
        **trained(bundle, bundle.image_size, maker),
        **parts.origin(bundle.name, version),
        **parts.check(
            *("device", "seed", "class_label", "image_size", "encoding"),
            *(id for id in options if id != "channel"),
            *maker.options,
            *maker.checked,
        ),
        "sample_channels": sample_channels(),
        "network_def": maker.network,
        "network": "$@network_def.to(@device)",
        "load_weights": parts.load_model("@ckpt_path", "@network"),
        "samples": {
            "_target_": "tools.engines.style_pictures.StyleSamples",
            "network": "@network",
            "truncation": "@truncation",
            "cutoff": "@truncated_layers",
            "label": "@class_label",
        },
        "initialize": ["@check", "$monai.utils.set_determinism(seed=0)"],
        "run": ["$check_settings(output_dir=@output_dir)", "$@load_weights.load()", f"$print('Wrote', {written})"],
    }


def projection(bundle: SliceBundle, version: str, maker: SliceMaker) -> Config:
    """An overlay of `train.json`: real slices, and the styles whose images are nearest to them.

    Args:
        bundle: the bundle.
        version: version of the bundle.
        maker: description of how it makes slices.
    """
    data = bundle.data
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle, "$@scales[@scale]['image_size']", maker),
        **parts.origin(bundle.name, version),
        "network": "$@network_def.to(@device)",
        "reference": "validation",
        "num_real": 4,
        "class_label": None,
        "projection_steps": 1000,
        "lpips": None,
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        "real_store": store(bundle.data, "@real_data"),
        "real": {
            "_target_": "tools.data.slice_classes.SomeSlices",
            "slices": {**classed(data, "@real_store"), "complete": False},
            "number": "@num_real",
            "weights": weights(data, "@real_store"),
        },
        "load_weights": parts.load_model("@ckpt_path", "@network"),
        "distance": "$distance_of_scales if @lpips is None else LPIPS(*@lpips).to(@device)",
        "projector": {
            "_target_": "tools.engines.projection.Projector",
            "network": "@network",
            "steps": "@projection_steps",
            "distance": "@distance",
            "seed": "@seed",
            "label": "@class_label",
        },
        "run": [
            "$check_settings(output_dir=@output_dir, projection_steps=@projection_steps)",
            "$@load_weights.load()",
            "$print('Wrote', *save_projections(@projector, @real, @output_dir + '/projections', @sample_channels, "
            "@origin))",
        ],
    }
