"""CRF-GAN (Shiri et al.): whole volumes, slabs of which a conditional random field keeps together."""

from __future__ import annotations

from tools.catalogue.hierarchical_gan.inference import evaluate, inference
from tools.catalogue.hierarchical_gan.metadata import facts, metadata, terms
from tools.catalogue.hierarchical_gan.method import Method, VolumeBundle
from tools.catalogue.hierarchical_gan.options import OPTIONS
from tools.catalogue.hierarchical_gan.papers import CRF, CRF_GAN, HA_GAN
from tools.catalogue.hierarchical_gan.training import learn, train
from tools.catalogue.hierarchical_gan.volumes import BRAIN_T1, CHEST_CT
from tools.catalogue.parts import Config

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]

METHOD = Method(
    name="CRF-GAN",
    generator="Generator",
    discriminator="SubVolumeDiscriminator",
    objective="crf_gan.CRFGANObjective",
    options={"crf_nodes": "slices", "crf_iterations": 60000},
    learning_rates={
        "discriminator": 0.0004,
        "generator": 0.0001,
        # the text's rate with the text's nodes, the released code's with its own
        "crf": "$0.0001 if @crf_nodes == 'slices' else 0.0004",
        "encoder": 0.0001,
    },
    networks={"crf": {"_target_": "tools.layers.crf.MeanFieldCRF", "num_nodes": "$@image_size // 4", "iterations": 10}},
    ready={"crf": "$@crf_def.to(@device)"},
    loss_options={
        "feedback": "blend",
        "crf_weight": 0.5,
        "crf_iterations": "@crf_iterations",
        "crf_nodes": "@crf_nodes",
    },
    loss_computing={"implementation": "@implementation"},
    updates=(learn("crf", "@crf"), learn("encoder", "@encoder")),
    authors="M. Shiri, C. Bortolotto, A. Bruno, A. Consonni, D. M. Grasso, L. Brizzi, D. Loiacono and L. Preda",
    papers=(CRF_GAN, HA_GAN, CRF),
    does="training, inference and evaluation",
    description="CRF-GAN: a memory-efficient 3D generative adversarial network that generates whole {what} volumes. "
    "It decodes a global embedding slab by slab in training, and a conditional random field over the embedding "
    "keeps the slabs consistent.",
)


def configs(bundle: VolumeBundle) -> dict[str, Config]:
    return {"train": train(bundle), "inference": inference(bundle), "evaluate": evaluate(bundle)}


BUNDLES = (
    VolumeBundle("crf_gan_luna16", METHOD, CHEST_CT),
    VolumeBundle("crf_gan_gsp", METHOD, BRAIN_T1),
)
