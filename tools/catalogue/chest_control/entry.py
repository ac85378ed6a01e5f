"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tools.catalogue import parts
from tools.catalogue.chest_flow.entry import CONDITIONS as OF_VIEWS
from tools.catalogue.chest_flow.entry import FIELD_OF_VIEW, PAPER, WINDOW
from tools.catalogue.chest_flow.entry import network as flow
from tools.catalogue.parts import Config

NETWORK = (
    *("volume_size", "network_channels", "num_res_blocks", "patch", "preconditioned", "regions", "control"),
    *("components", "uniform_side"),
)
"""Ids of the network's sizes, and of the times that it was trained for."""

SAMPLE = ("images", "labels")
"""Ids of what its channels are."""

CONDITIONS = {**OF_VIEWS, "labels": "labels"}
"""What the network is told: its argument -> key of a batch."""

CLASSES = ("soft tissue", "lung", "vessel", "airway", "heart", "bone", "liver", "spleen", "stomach", "nodule")
"""Classes of a chest's label maps in the order of their values, from 1, as the phantoms have them."""


@dataclass(frozen=True)
class ControlBundle:
    """Chest CT of label maps.

    Attributes:
        name: name of the bundle.
        labels: value in files by name of each class.
    """

    name: str
    labels: Mapping[str, int]

    @property
    def images(self) -> Config:
        """HU of -1 and 1 by name of the image."""
        return {"ct": list(WINDOW)}


def definitions() -> Config:
    """The denoiser, the ControlNet where there is one, and both together."""
    classes = "@sample_channels.num_labels"
    denoiser = flow() | {
        "in_channels": f"$1 + ({classes} if @control == 'concatenation' else 0)",
        "num_class_embeds": None,
    }
    controlnet = {
        "_target_": "ControlNet",
        "_disabled_": "$@control == 'concatenation'",
        "spatial_dims": 3,
        "in_channels": "$(2 if @components > 0 else 1) * @patch ** 3",
        "channels": "@network_channels",
        **{id: denoiser[id] for id in ("num_res_blocks", "attention_levels", "norm_num_groups", "num_head_channels")},
        "conditioning_embedding_in_channels": f"${classes}",
        # each further width halves the label map: a patch of 2 voxels needs one, of 4 two
        "conditioning_embedding_num_channels": "$[16 * 2**i for i in range(@patch.bit_length())]",
        "include_fc": False,
        "use_flash_attention": denoiser["use_flash_attention"],
    }
    return {
        "denoiser_def": denoiser,
        "controlnet_def": controlnet,
        "network_def": guided("@denoiser_def", "@controlnet_def"),
    }


def guided(denoiser: str, control: str) -> Config:
    return {"_target_": "tools.networks.control.label_guided", "denoiser": denoiser, "control": control}


def prepare() -> Config:
    """Noise and what the network is told; "label" of a batch is a label map, and no class of a generator."""
    return {
        "_target_": "tools.engines.generation.PrepareLatents",
        "class_key": "class",
        "conditions": dict(CONDITIONS),
    }


def trained(bundle: ControlBundle) -> Config:
    """Return what the weights say, with this bundle's defaults."""
    defaults = {
        "volume_size": [PAPER["image_size"]] * 3,
        "network_channels": PAPER["network_channels"],
        "num_res_blocks": 1,
        "patch": 2,
        "preconditioned": False,
        "components": 0,
        "uniform_side": None,
        "regions": 1,
        "control": "controlnet",
        "images": bundle.images,
        "labels": dict(bundle.labels),
        "data": {"field_of_view_mm": list(FIELD_OF_VIEW)},
    }
    return parts.trained(bundle.name, defaults, [*NETWORK, *SAMPLE])
