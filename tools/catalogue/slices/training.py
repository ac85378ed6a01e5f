"""`train.json` of a generator of labelled slices: a family gives networks, objective and updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.catalogue import parts, training_parts
from tools.catalogue.parts import Config
from tools.catalogue.slices.data import SliceData
from tools.catalogue.slices.maker import PHANTOM_SIZE, SliceBundle, SliceMaker, prepare_latents

OPTIONS = (
    *(option for option in training_parts.TRAINING_OPTIONS if option != "window"),
    *("encoding", "field_of_view", "val_slices"),
)
"""Options of every such training that are checked."""

SAMPLE = ("image_size", "images", "labels", "encoding", "classes")
"""Ids of what a sample is, which go with the weights."""


LENGTH: Config = {"iterations": None}


def training(
    bundle: SliceBundle,
    version: str,
    maker: SliceMaker,
    *,
    phantom: Config,
    paper: Config,
    options: Config,
    checked: Sequence[str],
    networks: Config,
    updates: Config,
    learned: Config | None = None,
    length: Config = LENGTH,
    also: Config | None = None,
    trainer: Config | None = None,
    image_size: str = "@image_size",
) -> Config:
    """Return the whole `train.json`.

    Args:
        bundle: the bundle.
        version: version of the bundle.
        maker: description of how it makes slices.
        phantom: sizes with phantoms, besides the side of the slices and what is for all families.
        paper: same sizes with the dataset.
        options: further options, with their defaults.
        checked: options that are checked, besides those of all families.
        networks: ids from the networks' definitions to the objective and what inference needs, `models`; the averaged
            generator is the `ema`'s.
        updates: ids of the section `train` that say how networks learn.
        learned: settings of ``maker`` that are what is learned, not what learns.
        length: option of the training's length that stands in for the epochs, or the epochs where something else does.
        also: further parts of the training's state, kept in its checkpoints.
        trainer: further arguments of the trainer.
        image_size: side of the slices that are read, an expression that may check it.
    """
    data = bundle.data
    later = {*phantom, *(learned or {})}
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={"image_size": PHANTOM_SIZE, **phantom, "val_slices": 16, "num_workers": 0},
            paper={"image_size": bundle.image_size, **paper, "val_slices": 64, "num_workers": 4},
        ),
        **length,
        **{setting: value for setting, value in maker.settings.items() if setting not in later},
        **slice_options(data),
        **(learned or {}),
        **maker.options,
        "precision": "fp32",
        "accumulation": 1,
        **options,
        "resume": None,
        "save_interval": 1,
        **checks(*OPTIONS, *checked, without=[id for id in length if id in OPTIONS]),
        "network_def": maker.network,
        **networks,
        "provenance": "$data_provenance(@data_dir, @train#dataset.data, @train#store.fields_of_view())",
        "settings": {
            "bundle": bundle.name,
            "version": version,
            **{id: f"@{id}" for id in (*SAMPLE, *maker.settings, "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            **training_data(data, image_size),
            "inferer": maker.inferer,
            **updates,
            "handlers": training_parts.training_handlers(also),
            "trainer": training_parts.trainer(
                ema="@ema",
                **{
                    "max_epochs": "$@max_epochs if @iterations is None else "
                    "epochs_for(@iterations, len(@train#dataset), @batch_size)",
                    **(trainer or {}),
                },
            ),
        },
        "validate": validation(data, maker.latents, "$@ema.module", prepare_latents("class")),
        **training_parts.start_training(),
    }


def checks(*options: str, without: Sequence[str]) -> Config:
    """Return the check of these options, of which some may be null and are looked at where they are not."""
    check = parts.check(*options)
    check["check"] |= {id: f"$1 if @{id} is None else @{id}" for id in without}
    return check


def adversaries(discriminator: Config, ready: str = "{}", **average: str) -> Config:
    """Return the ids of generator and discriminator, which may begin with the weights of others, and of the average.

    Args:
        discriminator: definition of the discriminator; the generator's stands before.
        ready: expression of what is done with either network, which stands for {}.
        average: arguments of the generator's average.
    """
    begun = f"${ready.format('begun_with(@{}_def, @start_from, @sample_channels.number{})')}.to(@device)"
    return {
        "discriminator_def": discriminator,
        "network": begun.format("network", ""),
        "discriminator": begun.format("discriminator", ", 'discriminator.pt'"),
        "ema": {"_target_": "tools.engines.ema.ExponentialMovingAverage", "network": "@network", **average},
    }


MODELS = {"model": "$@ema.module", "discriminator": "@discriminator"}
"""What an adversarial training leaves."""


def slice_options(data: SliceData) -> Config:
    """The ids of the data, from what a sample is to where its slices are kept."""
    findings = ", findings=True" if data.dataset.findings else ""
    return {
        "images": scales(data.images),
        "labels": data.labels,
        "encoding": data.encoding,
        "classes": {name: list(shown) for name, shown in data.classes.items()},
        "choice": {"foreground": None, "min_foreground": 0.0, "labels": [], "min_pixels": 1, **data.choice},
        "balance": dict(data.balance),
        **({} if data.images else {"read_images": scales(data.read_images), "body": data.body}),
        "field_of_view": data.field_of_view,
        "phantoms": dict(data.phantom_options),
        "data_dir": "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms', "
        f"{data.write_phantoms}, **@phantoms)",
        "train_data": f"$slice_datalist({data.record}, @data_dir, 'training', @read_channels{findings})",
        "val_data": f"$slice_datalist({data.record}, @data_dir, 'validation', @read_channels{findings})",
        "cache_dir": "$@bundle_root + '/cache'",
        "sample_channels": sample_channels(),
        "read_channels": sample_channels(
            f"$read_images(@images, @classes, {data.record})" if data.images else "@read_images"
        ),
        "slice_choice": {
            "_target_": "tools.data.sample_store.SliceChoice",
            **{key: f"@choice#{key}" for key in ("foreground", "min_foreground", "labels", "min_pixels")},
        },
    }


def scales(images: Mapping[str, float | tuple[float, float]]) -> Config:
    """Scale of each image as JSON has it."""
    return {name: list(scale) if isinstance(scale, tuple) else scale for name, scale in images.items()}


def sample_channels(images: str = "@images") -> Config:
    """The one description of a sample, which reading, network, objective and writing ask."""
    return {
        "_target_": "tools.transforms.channels.Channels",
        "images": images,
        "labels": "@labels",
        "encoding": "@encoding",
    }


def training_data(data: SliceData, image_size: str = "@image_size") -> Config:
    """The ids of `train` from files to batches; ``image_size`` may be an expression that checks it."""
    return {
        "preprocessing": {
            "_target_": "tools.transforms.samples.sample_slices",
            "channels": "@read_channels",
            "image_size": image_size,
            "field_of_view": "@field_of_view",
            "modality": data.modality,
        },
        "store": store(data, "@train_data"),
        "dataset": classed(data, "@train#store"),
        "sampler": {
            **training_parts.sampler("tools.data.balance.BalancedSampler"),
            "weights": weights(data, "@train#store"),
        },
        "dataloader": training_parts.training_loader(),
    }


def validation(
    data: SliceData, latents: Config, network: str, prepare_batch: Config, inferer: str = "@train#inferer"
) -> Config:
    """The section `validate`: slices of seeds beside real ones of the same classes.

    Args:
        data: the data.
        latents: transform that adds what the network makes a slice of, by its seed.
        network: network that makes them.
        prepare_batch: callable that hands a batch to it; real slices are "image", their classes "class".
        inferer: inferer by which it makes them.
    """
    return {
        **training_parts.validation_data(
            latents,
            {
                "_target_": "tools.data.slice_classes.SomeSlices",
                "slices": "@validate#slices",
                "number": "@val_slices",
                "weights": weights(data, "@validate#store"),
                "transform": "@validate#preprocessing",
            },
        ),
        "store": store(data, "@val_data"),
        "slices": {**classed(data, "@validate#store"), "complete": False},
        "inferer": inferer,
        "distances": {
            "_target_": "tools.evaluation.handlers.FeatureDistances",
            "features": {"_target_": "tools.features.untrained.UntrainedSliceFeatures"},
            "output_transform": "$lambda output: tuple([item[key][: @sample_channels.num_images] for item in output] "
            "for key in ('pred', 'label'))"
            if data.images
            else "$monai.handlers.from_engine(['pred', 'label'])",
        },
        **training_parts.validation_of_samples(network, prepare_batch, {"names": "$@sample_channels.names"}),
    }


def store(data: SliceData, items: str) -> Config:
    """The slices of a list of volumes."""
    return {
        "_target_": "tools.data.sample_store.SampleStore",
        "data": items,
        "transform": "@train#preprocessing",
        "channels": "@read_channels",
        "store_dir": "@cache_dir",
        "choice": "@slice_choice",
        "num_workers": "@num_workers",
        **({} if data.images else {"augment": labels_alone()}),
    }


def labels_alone() -> Config:
    """What makes a sample of labels of what is read."""
    return {"_target_": "tools.transforms.label_samples.LabelsAlone", "channels": "@sample_channels", "body": "@body"}


def classed(data: SliceData, store: str) -> Config:
    """The same with their classes."""
    return {
        "_target_": "tools.data.slice_classes.ClassedSlices",
        "store": store,
        "classes": "@classes",
        **({"findings": f"${data.record}.findings"} if data.dataset.findings else {}),
    }


def weights(data: SliceData, store: str) -> str:
    """Expression for the weights with which they are drawn."""
    findings = f", {data.record}.findings" if data.dataset.findings else ""
    return f"$slice_weights({store}, @balance{findings}, classes=@classes)"
