"""Differences of the two methods, an entry of either, and the networks that both have."""

from __future__ import annotations

from dataclasses import dataclass, field

from tools.catalogue import parts
from tools.catalogue.hierarchical_gan.volumes import VolumeData
from tools.catalogue.parts import Config

NETWORKS = "tools.networks.hierarchical_gan"
SHAPE = ("image_size", "latent_dim", "base_channels", "num_classes")
"""Ids of the generator's sizes."""


@dataclass(frozen=True)
class Method:
    """What is one method's alone, by the places in configs and metadata where it stands.

    Attributes:
        name: name as papers have it.
        generator: class of `tools.networks.hierarchical_gan`.
        discriminator: class of the same module.
        objective: class of `tools.losses`.
        widths: options for the width of networks that the other method does not have.
        computing: options on how it is computed.
        options: further options of the training.
        learning_rates: update -> rate.
        networks: name -> definition of networks besides generator, discriminator and encoder.
        ready: name -> expression that builds the network and moves it to the device.
        loss_options: arguments of the objective on what is minimised.
        loss_computing: arguments of the objective on how.
        models: further networks that are saved with their weights.
        updates: further updates, in their order.
        authors: authors of the method, for metadata.
        papers: references, the method's own first.
        does: abilities of the first version, in words.
        description: sentences of the metadata, with {what} for what is generated.
    """

    name: str
    generator: str
    discriminator: str
    objective: str
    learning_rates: Config
    networks: Config
    ready: Config
    loss_computing: Config
    updates: tuple[Config, ...]
    authors: str
    papers: tuple[str, ...]
    does: str
    description: str
    widths: Config = field(default_factory=dict)
    computing: Config = field(default_factory=dict)
    options: Config = field(default_factory=dict)
    loss_options: Config = field(default_factory=dict)
    models: Config = field(default_factory=dict)


@dataclass(frozen=True)
class VolumeBundle:
    """Attributes:
    name: of the bundle.
    method: how it generates.
    data: what it is trained on.
    """

    name: str
    method: Method
    data: VolumeData


def encoder() -> Config:
    return {"_target_": f"{NETWORKS}.HalfEncoder", "base_channels": "@base_channels"}


def generator(method: Method) -> Config:
    return {"_target_": f"{NETWORKS}.{method.generator}", **{id: f"@{id}" for id in SHAPE}}


def trained(
    bundle: VolumeBundle, image_size: int | str, *, widths: Config | None = None, place: bool = False
) -> Config:
    """Return what the weights say, with this bundle's defaults.

    Args:
        bundle: the entry.
        image_size: the default where the weights do not say theirs.
        widths: widths of further networks of the weights.
        place: True adds the extent of the volumes.
    """
    defaults = {"image_size": image_size, "latent_dim": 1024, "base_channels": 32, **(widths or {}), "num_classes": 0}
    defaults["window"] = list(bundle.data.window)
    ids = list(defaults)
    if place:
        defaults["data"] = {"field_of_view_mm": list(bundle.data.field_of_view)}
    return parts.trained(bundle.name, defaults, ids)


def prepare_latents() -> Config:
    return {"_target_": "tools.engines.generation.PrepareLatents"}


def cube_dataset(data: str, **more: str) -> Config:
    """Return the dataset of volumes as cubes; ``more`` names a transform that follows."""
    return {"_target_": "tools.data.cubes.cube_dataset", "data": data, "cubes": "@cubes", **more}
