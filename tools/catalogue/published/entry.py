"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.catalogue import parts
from tools.catalogue.parts import Config


@dataclass(frozen=True)
class PublishedBundle:
    """Weights that others have published, with the networks that they are of.

    Attributes:
        name: name of the bundle.
        title: name of the model in the bundle's title.
        what: name of the volumes in a sentence.
        modality: kind of the images' voxels, "CT" or "MR".
        window: values in files that 0 and 1 of the autoencoder stand for.
        size: voxels of a volume along X, Y and Z.
        spacing: voxel size in mm.
        axcodes: directions that X, Y and Z run to.
        latent_channels: channels of the latents.
        halvings: number of times that the autoencoder halves a volume, and the denoiser its latents.
        widths: widths of the networks' levels as published, by id of the config.
        steps: steps from noise to a sample, by form of the diffusion.
        labelled: True where label maps and images of them can be made.
        conditions: numbers that the networks are told, by name, with their defaults.
        trained_on: training data of the weights, for `docs/data_license.txt`.
        weights_terms: terms of the weights.
        source: publishers of the weights, in words.
        references: papers.
        parameters: parameters by network, and tensors of its state dict.
    """

    name: str
    title: str
    what: str
    modality: str
    window: tuple[int, int]
    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    axcodes: str
    latent_channels: int
    halvings: tuple[int, int]
    widths: Mapping[str, list[int]]
    steps: Mapping[str, int]
    labelled: bool
    conditions: Mapping[str, float]
    trained_on: str
    weights_terms: str
    source: str
    references: tuple[str, ...]
    parameters: Mapping[str, tuple[int, int]]

    @property
    def shortened(self) -> int:
        """Voxels of a volume along one of a latent."""
        return 2 ** self.halvings[0]

    @property
    def divisor(self) -> int:
        """Number that divides each length of a volume."""
        return 2 ** sum(self.halvings)

    @property
    def unit(self) -> str:
        return "HU" if self.modality == "CT" else "grey values"


def beginning(bundle: PublishedBundle, version: str, defaults: Config, **more: Any) -> Config:
    """The ids with which an `inference.json` begins, to the options of all these bundles."""
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "device": parts.DEVICE,
        "half": "$torch.device(@device).type == 'cuda'",
        "dataset_dir": None,
        "seed": 0,
        "num_volumes": 1,
        **parts.trained(bundle.name, defaults, list(defaults)),
        **parts.origin(bundle.name, version),
        "size": list(bundle.size),
        "spacing": list(bundle.spacing),
        **more,
        "slab_length": 0,
        "layout": "nifti",
    }


def network(bundle: PublishedBundle, denoiser: Config, autoencoder: Config, **more: Config) -> Config:
    """All networks as one, see `tools.networks.published.PublishedDiffusion`."""
    given = {"denoiser": denoiser, "autoencoder": autoencoder, **more}
    return {
        "network_def": {
            "_target_": "tools.networks.published.PublishedDiffusion",
            **{name: f"@{name}_def" for name in given},
            "slab_length": "@slab_length",
        },
        **{f"{name}_def": definition for name, definition in given.items()},
        "network": "$@network_def.to(@device)",
    }


def noise_from_seed(bundle: PublishedBundle) -> Config:
    return parts.latent_from_seed(
        f"$[{bundle.latent_channels}, *(side // {bundle.shortened} for side in multiples(@size, {bundle.divisor}))]"
    )


def place(bundle: PublishedBundle) -> Config:
    return {
        "_target_": "tools.transforms.published.PlaceByCodesd",
        "keys": "pred",
        "spacing": "@spacing",
        "axcodes": bundle.axcodes,
    }


def sampler(scheduler: str, steps: str) -> Config:
    return {
        "_target_": "tools.engines.sampling.DiffusionSampler",
        "scheduler": scheduler,
        "steps": steps,
        "latents": True,
    }


def engines(bundle: PublishedBundle, labels: list[Config]) -> Config:
    """From noise to files; ``labels`` are steps that take a label map from the network's output."""
    load = parts.load_model("@ckpt_path", "@network") | {
        "advice": f"Fetch published ones: python -m tools fetch_weights {bundle.name}"
    }
    unit = "HU" if bundle.modality == "CT" else "grey values"
    return {
        "folder": {
            "_target_": "tools.io.labelled_folder.LabelledFolder",
            "folder": "@output_dir",
            "name": bundle.name,
            "images": [bundle.modality.lower()],
            "classes": "$CLASSES" if bundle.labelled else {"background": 0},
            "modality": bundle.modality,
            "layout": "@layout",
        },
        **parts.inference_engines(
            load={"load_weights": load},
            making=[
                place(bundle),
                *labels,
                parts.unscale(*bundle.window),
                parts.to_ras(),
                {"_target_": "tools.transforms.volume.StateUnitd", "keys": "pred", "unit": unit},
            ],
            writing=[
                {
                    "_target_": "tools.transforms.published.WriteMaded",
                    "keys": "pred",
                    "folder": "@folder",
                    "provenance": "@origin",
                }
            ],
            showing=[
                parts.montage("montage.png", list(bundle.window), provenance="@origin"),
                parts.progress("Generation"),
            ],
            prepare_batch={"_target_": "tools.engines.generation.PrepareLatents", "class_key": "labels"},
            amp="@half",
        ),
    }
