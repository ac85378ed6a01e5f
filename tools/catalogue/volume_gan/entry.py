"""What differs between the methods, an entry of the family, and the parts that its configs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.catalogue import parts, training_parts
from tools.catalogue.parts import Config
from tools.catalogue.volume_maker import LatentVolumes, VolumeMaker

NETWORKS = "tools.networks.volume_gan"


@dataclass(frozen=True)
class Method:
    """What is one method's alone, by the places in configs and metadata where it stands.

    Attributes:
        name: name as papers have it.
        objective: class of `tools.losses`.
        updates: updates in their order, each with what it trains.
        learning_rates: update -> rate.
        betas: decay rates of Adam's moments.
        authors: authors of the method, for metadata.
        papers: references, the method's own first.
        description: sentences of the metadata, with {what} for what is generated.
        generator: arguments of the generator besides sizes.
        discriminator: arguments of the discriminator besides sizes.
        encoder: kind of encoder, "code" or "variational"; "" for none.
        codes: True where there is a discriminator of codes.
        options: further options of the training.
        loss_options: arguments of the objective.
        labelled_loss: arguments of the objective where there are labels.
        private: True where the discriminator can learn by private gradients.
        uniform: True where latents are uniform in [0, 1), not normal.
        latent_dim: size of the latent vector in the paper.
    """

    name: str
    objective: str
    updates: tuple[Config, ...]
    learning_rates: Config
    betas: tuple[float, float]
    authors: str
    papers: tuple[str, ...]
    description: str
    generator: Config = field(default_factory=dict)
    discriminator: Config = field(default_factory=dict)
    encoder: str = ""
    codes: bool = False
    options: Config = field(default_factory=dict)
    loss_options: Config = field(default_factory=dict)
    labelled_loss: Config = field(default_factory=dict)
    private: bool = False
    uniform: bool = False
    latent_dim: int = 1000

    @property
    def sizes(self) -> tuple[str, ...]:
        """Ids of the sizes of all networks that weights say."""
        return ("latent_dim", "base_channels", *(("hidden_channels",) if self.encoder == "variational" else ()))


@dataclass(frozen=True, kw_only=True)
class VolumeGANBundle(LatentVolumes):
    """Whole volumes from a latent vector at once.

    Attributes:
        method: way in which they are made.
    """

    method: Method


def network(bundle: VolumeGANBundle) -> Config:
    return {
        "_target_": f"{NETWORKS}.VolumeGenerator",
        "volume_size": "@volume_size",
        "latent_dim": "@latent_dim",
        "image_channels": bundle.samples.number,
        "base_channels": "@base_channels",
        **bundle.method.generator,
    }


def discriminator(bundle: VolumeGANBundle, **more: Any) -> Config:
    return {
        "_target_": f"{NETWORKS}.VolumeDiscriminator",
        "volume_size": "@volume_size",
        "image_channels": bundle.samples.number,
        "base_channels": "@base_channels",
        **more,
    }


def encoder(bundle: VolumeGANBundle) -> Config:
    """E, by batch normalisation in either form: nothing penalises its gradient."""
    if bundle.method.encoder == "code":
        return discriminator(bundle, outputs="@latent_dim")
    sizes = {"latent_dim": "@latent_dim", "hidden_channels": "@hidden_channels"}
    return discriminator(bundle, **sizes) | {"_target_": f"{NETWORKS}.VariationalEncoder"}


def maker(bundle: VolumeGANBundle) -> VolumeMaker:
    return VolumeMaker(
        network=network(bundle),
        sizes={size: bundle.paper[size] for size in bundle.method.sizes},
        inferer={"_target_": "tools.engines.generation.OneByOneInferer"},
        latents=parts.latent_from_seed(**({"distribution": "uniform"} if bundle.method.uniform else {})),
        placed="$set_implementation(@network_def).to(@device)",
    )


def learn(
    name: str, networks: Mapping[str, str], optimizer: Config | str | None = None, rate: str = "", **more: Any
) -> Config:
    """An update of networks, each in a group of its optimizer, by the loss of its name.

    Args:
        name: name of the update.
        networks: reference by name of each network.
        optimizer: optimizer; Adam over the one network if None.
        rate: name of the rate, of the update if "".
        more: further arguments of the update.
    """
    (one, *others) = networks.values()
    rate = f"@learning_rates#{rate or name}"
    made = optimizer or training_parts.adam(f"${one}.parameters()", rate, fused=training_parts.OPTIMISED)
    assert optimizer or not others, "the optimizer of several networks is said"
    return training_parts.update(name, dict(networks), made, f"$@objective.{name}_loss", **more)


def repeated(learns_rate: str, generator: str = "@network", encoder: str | None = None) -> Config:
    """Adam that may step the generator twice on one gradient; the encoder, if it has one, steps once."""
    groups = [f"{{'params': [*{generator}.parameters()], 'repeats': @generator_steps}}"]
    groups += [] if encoder is None else [f"{{'params': [*{encoder}.parameters()]}}"]
    return {
        "_target_": "tools.engines.update.RepeatedAdam",
        "params": f"$[{', '.join(groups)}]",
        "lr": f"@learning_rates#{learns_rate}",
        "betas": "@betas",
        "fused": training_parts.OPTIMISED,
    }
