"""`inference.json` and `evaluate.json` of a generator of labelled slices."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.labelled_parts import labelled_engines
from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceBundle, SliceMaker, prepare_latents
from tools.catalogue.slices.training import SAMPLE, classed, sample_channels, scales, store, weights

CHECKED = ("device", "seed", "num_volumes", "class_label", "layout", "image_size", "encoding", "field_of_view")
"""Options of every such inference that are checked."""


def trained(bundle: SliceBundle, image_size: int | str, maker: SliceMaker, place: bool = False) -> Config:
    """Return what the weights say, with this bundle's defaults.

    Args:
        bundle: the bundle.
        image_size: the default where the weights do not say theirs.
        maker: description of how it makes slices.
        place: True adds the extent of the slices.
    """
    data = bundle.data
    defaults = {
        "image_size": image_size,
        **maker.settings,
        "images": scales(data.images),
        "labels": data.labels,
        "encoding": data.encoding,
        "classes": {key: list(shown) for key, shown in data.classes.items()},
    }
    ids = [*SAMPLE, *maker.settings]
    if place:
        defaults["data"] = {"field_of_view_mm": list(data.extent)}
    return parts.trained(bundle.name, defaults, ids)


def inference(bundle: SliceBundle, version: str, maker: SliceMaker) -> Config:
    """A labelled folder of slices that follow from their seeds.

    Args:
        bundle: the bundle.
        version: version of the bundle.
        maker: description of how it makes slices.
    """
    name, data = bundle.name, bundle.data
    return {
        **parts.where_inference_writes(name, 16),
        "class_label": None,
        "layout": "nifti",
        **maker.options,
        **maker.apart,
        **trained(bundle, bundle.image_size, maker, place=True),
        **parts.origin(name, version),
        "field_of_view": "$@trained['data']['field_of_view_mm']",
        **parts.check(*CHECKED, *maker.options, *maker.apart, *maker.checked),
        "datalist": f"$seed_datalist(@num_volumes, @seed, len(@classes), @class_label, '{name}')",
        "sample_channels": sample_channels(),
        "network_def": maker.network,
        "network": "$@network_def.to(@device)",
        **maker.before,
        "preprocessing": parts.compose(maker.latents),
        **parts.one_by_one("@datalist"),
        "inferer": {**maker.inferer, **maker.given},
        **labelled_engines(name, data.modality, prepare_latents("label"), layout="@layout"),
    }


def evaluate(bundle: SliceBundle, maker: SliceMaker) -> Config:
    """An overlay of `train.json`: a report on images of the slices, and on their labels.

    Args:
        bundle: the bundle.
        maker: description of how it makes slices.
    """
    name, data = bundle.name, bundle.data
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle, "$@scales[@scale]['image_size']", maker),
        "network": "$@network_def.to(@device)",
        **maker.apart,
        **{f"train#inferer#{id}": value for id, value in maker.given.items()},
        "reference": "validation",
        "image": "$[*@images][0]" if data.images else "$@sample_channels.names[0]",
        "num_real": 1000,
        "num_synthetic": "$len(@real)",
        **parts.spaces("untrained-slices"),
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        "real_store": store(data, "@real_data"),
        "real": {
            "_target_": "tools.data.slice_classes.SomeSlices",
            "slices": {**classed(data, "@real_store"), "complete": False},
            "number": "@num_real",
            "weights": weights(data, "@real_store"),
        },
        "synthetic": f"$@real.seeds(@num_synthetic, @seed, '{name}')",
        "validate#preprocessing": maker.latents,
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        "validate#evaluator#prepare_batch#class_key": "label",
        **parts.sample_reports(name, ("image", "image_size", *maker.options, *maker.apart), image="@image"),
        **parts.run_report(),
    }
