"""Entries of generators of labelled slices, and what all configs of such a generator say alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools.catalogue.parts import Config
from tools.catalogue.slices.data import SliceData
from tools.catalogue.terms import PHANTOMS, data_license

PHANTOM_SIZE = 64
"""Pixels a side with phantoms."""


@dataclass(frozen=True)
class SliceBundle:
    """A generator of slices that learns from a dataset.

    Attributes:
        name: name of the bundle.
        data: dataset that it is trained on.
        image_size: pixels a side with the dataset.
    """

    name: str
    data: SliceData
    image_size: int = 256


@dataclass(frozen=True)
class SliceMaker:
    """How slices are made, in training, inference and evaluation alike.

    Attributes:
        network: definition of the network.
        settings: settings of it, which go with the weights, with their defaults.
        inferer: inferer by which it makes slices.
        latents: transform that adds what it makes a slice of, by its seed.
        options: options of making slices, with their defaults.
        apart: options of inference and evaluation alone, which are arguments of the inferer.
        checked: settings that an inference checks.
        before: further ids that the inferer of an inference needs.
        styled: True if the network makes slices of styles, which pictures show.
    """

    network: Config
    settings: Mapping[str, object]
    inferer: Config
    latents: Config
    options: Config = field(default_factory=dict)
    apart: Config = field(default_factory=dict)
    checked: Sequence[str] = ()
    before: Config = field(default_factory=dict)
    styled: bool = False

    @property
    def given(self) -> Config:
        """Arguments of the inferer that training leaves at their defaults."""
        return {id: f"@{id}" for id in self.apart}


def prepare_latents(class_key: str) -> Config:
    """What a slice is made of goes in, and the class of a slice, if it has one."""
    return {"_target_": "tools.engines.generation.PrepareLatents", "class_key": class_key}


def facts(bundle: SliceBundle) -> Config:
    """Return what the README says of a bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: SliceBundle) -> str:
    return data_license(bundle.data.dataset.terms, PHANTOMS)
