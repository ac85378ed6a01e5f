"""`inference.json` and `evaluate.json` of a generator of labelled slices."""

from __future__ import annotations

from collections.abc import Sequence

from tools.catalogue import parts
from tools.catalogue.labelled_parts import labelled_engines
from tools.catalogue.parts import Config
from tools.catalogue.slices.data import SliceData
from tools.catalogue.slices.training import SAMPLE, classed, sample_channels, store, weights

CHECKED = ("device", "seed", "num_volumes", "class_label", "layout", "image_size", "encoding", "field_of_view")
"""Options of every such inference that are checked."""


def trained(name: str, data: SliceData, image_size: int | str, network: Config, place: bool = False) -> Config:
    """Return what the weights say, with this bundle's defaults.

    Args:
        name: name of the bundle.
        data: the data.
        image_size: the default where the weights do not say theirs.
        network: further settings of the weights, with their defaults.
        place: True adds the extent of the slices.
    """
    defaults = {
        "image_size": image_size,
        **network,
        "images": {key: list(scale) if isinstance(scale, tuple) else scale for key, scale in data.images.items()},
        "labels": data.labels,
        "encoding": data.encoding,
        "classes": {key: list(shown) for key, shown in data.classes.items()},
    }
    ids = [*SAMPLE, *network]
    if place:
        defaults["data"] = {"field_of_view_mm": list(data.extent)}
    return parts.trained(name, defaults, ids)


def inference(
    name: str,
    version: str,
    data: SliceData,
    *,
    options: Config,
    image_size: int,
    network_settings: Config,
    network: Config,
    latents: Config,
    inferer: Config,
    prepare_batch: Config,
    checked: Sequence[str] = (),
    network_on_device: str = "$@network_def.to(@device)",
    before: Config | None = None,
) -> Config:
    """A labelled folder of slices that follow from their seeds.

    Args:
        name: name of the bundle.
        version: version of the bundle.
        data: dataset of its slices.
        options: further options, with their defaults.
        image_size: pixels a side, where the weights do not say.
        network_settings: settings of the weights besides what a sample is, with their defaults.
        network: definition of the network.
        latents: transform that adds what the network makes a slice of, by its seed.
        inferer: inferer by which the network makes slices.
        prepare_batch: callable that hands a batch to the network; its class is "label".
        checked: further options that are checked.
        network_on_device: expression for the network as it is used.
        before: further ids that the inferer needs.
    """
    return {
        **parts.where_inference_writes(name, 16),
        "class_label": None,
        "layout": "nifti",
        **options,
        **trained(name, data, image_size, network_settings, place=True),
        **parts.origin(name, version),
        "field_of_view": "$@trained['data']['field_of_view_mm']",
        **parts.check(*CHECKED, *checked),
        "datalist": f"$seed_datalist(@num_volumes, @seed, len(@classes), @class_label, '{name}')",
        "sample_channels": sample_channels(),
        "network_def": network,
        "network": network_on_device,
        **(before or {}),
        "preprocessing": parts.compose(latents),
        **parts.one_by_one("@datalist"),
        "inferer": inferer,
        **labelled_engines(name, data.modality, prepare_batch, layout="@layout"),
    }


def evaluate(
    name: str,
    data: SliceData,
    *,
    network_settings: Config,
    latents: Config,
    network_on_device: str = "$@network_def.to(@device)",
    settings: Sequence[str] = (),
) -> Config:
    """An overlay of `train.json`: a report on one image of the slices.

    Args:
        name: name of the bundle.
        data: dataset of its slices.
        network_settings: settings of the weights besides what a sample is, with their defaults.
        latents: transform that adds what the network makes a slice of, by its seed.
        network_on_device: expression for the network as it is used.
        settings: ids of the config that the report states.
    """
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(name, data, "$@scales[@scale]['image_size']", network_settings),
        "network": network_on_device,
        "reference": "validation",
        "image": "$[*@images][0]",
        "num_real": 1000,
        "num_synthetic": "$len(@real)",
        **parts.spaces("untrained-slices"),
        "shown": "$[*@images].index(@image)",
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        "real_store": store("@real_data"),
        "real": {
            "_target_": "tools.data.slice_classes.SomeSlices",
            "slices": {**classed(data, "@real_store"), "complete": False},
            "number": "@num_real",
            "weights": weights(data, "@real_store"),
            "transform": _one_image("image"),
        },
        "synthetic": f"$@real.seeds(@num_synthetic, @seed, '{name}')",
        "validate#preprocessing": latents,
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        "validate#evaluator#prepare_batch#class_key": "label",
        "validate#postprocessing": _one_image("pred"),
        "report": parts.report(name, ("image", "image_size", *settings)),
        **parts.run_report(),
    }


def _one_image(key: str) -> Config:
    """The image of a sample that is looked at, in [-1, 1]."""
    return {
        "_target_": "Lambdad",
        "keys": key,
        "func": "$lambda sample: sample[@shown : @shown + 1].clamp(-1, 1)",
    }
