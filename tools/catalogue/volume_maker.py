"""Entries of generators that make whole volumes of a latent vector at once, and what all configs of one say alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tools.catalogue import diffusion, parts, training_parts
from tools.catalogue.diffusion.entry import prepare_noise
from tools.catalogue.hierarchical_gan.volumes import VolumeData
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.slices.metadata import latent_tensor
from tools.catalogue.terms import PHANTOMS, data_license
from tools.catalogue.volume_samples import Cubes, Labelled, Samples
from tools.datasets.record import Dataset

OPTIONS = tuple(option for option in training_parts.TRAINING_OPTIONS if option != "window")
"""Those of every training: what scale images have is said with the samples."""


@dataclass(frozen=True, kw_only=True)
class LatentVolumes:
    """A generator of whole volumes that learns from a dataset.

    Attributes:
        name: name of the bundle.
        samples: description of the samples.
        dataset: record of the dataset.
        title: name of the volumes in the bundle's title.
        what: name of the volumes in a sentence.
        field_of_view: millimetres, axial first, where the weights know none.
        image_size: rows of a volume with the dataset.
        phantom_size: the same with phantoms.
        shape: slices, rows and columns of a volume, in fourths of its rows.
        phantom: further sizes with phantoms.
        paper: further sizes with the dataset.
    """

    name: str
    samples: Samples
    dataset: Dataset
    title: str
    what: str
    field_of_view: tuple[float, float, float]
    image_size: int
    phantom_size: int
    shape: tuple[int, int, int] = (4, 4, 4)
    phantom: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> Config:
        """Value in files by name of each class, empty without labels."""
        return self.samples.ids.get("labels", {})

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of a sample's channels."""
        return (*self.samples.ids["images"], *self.labels) if self.labels else ("image",)

    @property
    def volume_size(self) -> list[int]:
        """Slices, rows and columns with the dataset."""
        return self.grid(self.image_size)

    def grid(self, rows: int) -> list[int]:
        """Slices, rows and columns of so many rows."""
        return [part * rows // 4 for part in self.shape]


@dataclass(frozen=True)
class VolumeMaker:
    """How volumes are made, in training, inference and evaluation alike.

    Attributes:
        network: definition of the network.
        sizes: ids of its sizes, which go with the weights, with their defaults.
        inferer: inferer by which it makes volumes.
        options: options of making volumes, with their defaults.
        before: further ids that the network needs.
        unchecked: sizes of which no rule says anything.
        latents: transform that adds what the network makes a volume of, by its seed.
        placed: expression for the network on its device, for inference.
    """

    network: Config
    sizes: Mapping[str, Any]
    inferer: Config
    options: Config = field(default_factory=dict)
    before: Config = field(default_factory=dict)
    unchecked: Sequence[str] = ()
    latents: Config = field(default_factory=parts.latent_from_seed)
    placed: str = "$@network_def.to(@device)"

    @property
    def checked(self) -> tuple[str, ...]:
        """Options and sizes that are looked at before a run."""
        return (*self.options, *(size for size in self.sizes if size not in self.unchecked))


def of_labelled(like: str) -> Config:
    """Fields of an entry with the data of a bundle that makes labelled samples by diffusion."""
    entry = next(one for one in diffusion.BUNDLES if one.name == like)
    return {
        "samples": Labelled(replace(entry, name="")),
        "dataset": entry.dataset,
        "title": entry.title,
        "what": entry.what,
        "field_of_view": entry.field_of_view,
        "shape": (3, 4, 3),
    }


def of_cubes(data: VolumeData) -> Config:
    """Fields of an entry with whole volumes of one image."""
    return {
        "samples": Cubes(data),
        "dataset": data.dataset,
        "title": data.title,
        "what": data.what,
        "field_of_view": data.field_of_view,
    }


def terms(bundle: LatentVolumes) -> str:
    return data_license(bundle.dataset.terms, PHANTOMS)


def trained(bundle: LatentVolumes, maker: VolumeMaker, place: bool = False) -> Config:
    """Return what the weights say, with this bundle's defaults; ``place`` adds the extent of the volumes."""
    samples = {**bundle.samples.ids, "image_size": bundle.image_size, "volume_size": bundle.volume_size}
    defaults = {**{id: samples[id] for id in bundle.samples.kept}, **maker.sizes}
    ids = list(defaults)
    if place:
        defaults["data"] = {"field_of_view_mm": list(bundle.field_of_view)}
    return parts.trained(bundle.name, defaults, ids)


def data_of_training(bundle: LatentVolumes) -> Config:
    """Ids of a ``train.json`` on files and phantoms."""
    samples = bundle.samples
    return {
        "phantoms": samples.phantoms,
        "data_dir": samples.data_dir,
        "train_data": samples.files("training"),
        "val_data": f"$with_seeds({samples.files('validation')[1:]})",
        "cache_dir": "$@bundle_root + '/cache'",
    }


def provenance(bundle: LatentVolumes) -> Config:
    fields_of_view = bundle.samples.fields_of_view.replace("@volumes", "@train#dataset")
    return {"provenance": f"$data_provenance(@data_dir, @train#dataset.data, {fields_of_view})"}


def settings(bundle: LatentVolumes, version: str, maker: VolumeMaker) -> Config:
    """What weights say of how they were trained."""
    ids = ("image_size", *bundle.samples.kept, *maker.sizes, "seed", "batch_size", "precision")
    said = {id: f"@{id}" for id in ids}
    return {"settings": {"bundle": bundle.name, "version": version, **said, "data": "@provenance"}}


def reading(bundle: LatentVolumes) -> Config:
    """The beginning of the section ``train``: samples, and who reads them."""
    return {
        "preprocessing": bundle.samples.preprocessing,
        "dataset": bundle.samples.dataset("$enough_for_a_batch(@train_data, @batch_size)"),
        "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
    }


def validation(bundle: LatentVolumes, maker: VolumeMaker) -> Config:
    samples = bundle.samples
    return {
        **training_parts.validation_data(maker.latents, samples.dataset("@val_data", "@validate#preprocessing")),
        "distances": {
            "_target_": "tools.evaluation.handlers.FeatureDistances",
            "features": {"_target_": "tools.features.untrained.UntrainedFeatures"},
            "output_transform": samples.compared,
        },
        **training_parts.validation_of_samples("$@ema.module", prepare_noise(), samples.names),
    }


def inference(bundle: LatentVolumes, version: str, maker: VolumeMaker) -> Config:
    samples = bundle.samples
    return {
        **parts.where_inference_writes(bundle.name, 4),
        **maker.options,
        **samples.making,
        **trained(bundle, maker, place=True),
        **maker.before,
        **parts.origin(bundle.name, version),
        "field_of_view": "$@trained['data']['field_of_view_mm']",
        **parts.check(
            *("device", "seed", "num_volumes", *samples.making, *samples.checked, *maker.checked, "field_of_view"),
        ),
        "datalist": f"$seed_datalist(@num_volumes, @seed, name='{bundle.name}')",
        **samples.described,
        "network_def": maker.network,
        "network": maker.placed,
        "preprocessing": parts.compose(maker.latents),
        **parts.one_by_one("@datalist"),
        "inferer": maker.inferer,
        **samples.engines(bundle.name),
    }


def evaluate(bundle: LatentVolumes, maker: VolumeMaker) -> Config:
    samples = bundle.samples
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle, maker),
        "network": "$@network_def.to(@device)",
        "reference": "validation",
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        "num_synthetic": "$len(@real_data)",
        **parts.spaces("untrained"),
        "real": samples.dataset("@real_data"),
        "synthetic": f"$seed_datalist(@num_synthetic, @seed, name='{bundle.name}')",
        "validate#preprocessing": maker.latents,
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        **samples.report(bundle.name, ("volume_size", *maker.options)),
        **parts.run_report(),
    }


def metadata(bundle: LatentVolumes, method: str, how: str, authors: str, papers: Sequence[str]) -> Config:
    """`metadata.json` of a first version.

    Args:
        bundle: the entry.
        method: name of the method.
        how: description of the method in a few words.
        authors: authors of the method.
        papers: references, the method's own first.
    """
    labelled = bool(bundle.labels)
    with_labels = f" together with their labels, {' and '.join(bundle.labels)}" if labelled else ""
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: training, inference and evaluation of {method} on {bundle.what}"},
        {
            "name": f"{method}: {bundle.title}",
            "task": f"Generation of synthetic {bundle.what} volumes{' with their labels' if labelled else ''}",
            "description": f"{method}, {how}, for {bundle.what}{with_labels}: it makes them of a latent vector at "
            "once.",
            "authors": f"Contributors of this project; the method is by {authors}",
            "copyright": "Contributors of this project",
            "data_source": f"{bundle.dataset.source}; without it, phantoms that the bundle makes",
            "data_type": bundle.dataset.files,
            "image_classes": "latent vector of independent standard normal numbers",
            "label_classes": "none: samples have no class",
            "pred_classes": "a volume with intensities in [-1, 1], up to what the network overshoots"
            + (", and a label is above 0 inside of its class" if labelled else ""),
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [*papers, *([bundle.dataset.reference] if bundle.dataset.reference else [])],
        },
        latent_tensor(bundle.phantom["latent_dim"]),
        {
            "type": "image",
            "format": "magnitude" if labelled else bundle.samples.data.intensities,
            "num_channels": len(bundle.channels),
            "spatial_shape": bundle.grid(bundle.phantom_size),
            "dtype": "float32",
            "value_range": [],
            "is_patch_data": False,
            "channel_def": {str(number): name for number, name in enumerate(bundle.channels)},
        },
        also=("highdicom",) if labelled else (),  # of labelled folders
    )
