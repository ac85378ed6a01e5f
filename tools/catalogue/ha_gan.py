"""HA-GAN (Sun et al.): whole volumes, slabs of which a second resolution keeps together, and their reconstruction."""

from __future__ import annotations

from tools.catalogue import parts, training_parts
from tools.catalogue.hierarchical_gan.inference import evaluate, inference
from tools.catalogue.hierarchical_gan.metadata import facts, metadata, terms
from tools.catalogue.hierarchical_gan.method import (
    NETWORKS,
    SHAPE,
    Method,
    VolumeBundle,
    encoder,
    generator,
    trained,
)
from tools.catalogue.hierarchical_gan.options import OPTIONS
from tools.catalogue.hierarchical_gan.papers import CRF_GAN, HA_GAN
from tools.catalogue.hierarchical_gan.training import learn, train
from tools.catalogue.hierarchical_gan.volumes import BRAIN_T1, CHEST_CT
from tools.catalogue.parts import Config
from tools.catalogue.volume_parts import reconstruction_engines, volumes_to_reconstruct

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]


def sub_encoder() -> Config:
    return {
        "_target_": f"{NETWORKS}.SubEncoder",
        "image_size": "@image_size",
        "latent_dim": "@latent_dim",
        "base_channels": "@base_channels",
        "channels": "@sub_encoder_channels",
    }


METHOD = Method(
    name="HA-GAN",
    generator="HierarchicalGenerator",
    discriminator="HierarchicalDiscriminator",
    objective="ha_gan.HAGANObjective",
    widths={"sub_encoder_channels": 256},
    computing=training_parts.renamed("lean", "@implementation == 'optimised' and @image_size >= 256"),
    learning_rates={"discriminator": 0.0004, "generator": 0.0001, "encoder": 0.0001, "sub_encoder": 0.0001},
    networks={"sub_encoder": sub_encoder()},
    ready={"sub_encoder": "$set_implementation(@sub_encoder_def, @implementation).to(@device)"},
    loss_computing={"checkpointing": "@checkpointing"},
    models={"encoders": "$torch.nn.ModuleDict({'encoder': @encoder, 'sub_encoder': @sub_encoder})"},
    updates=(learn("encoder", "@encoder"), learn("sub_encoder", "@sub_encoder", one_by_one="@checkpointing")),
    authors="L. Sun, J. Chen, Y. Xu, M. Gong, K. Yu and K. Batmanghelich",
    papers=(HA_GAN, CRF_GAN),
    does="training, inference, reconstruction and evaluation",
    description="HA-GAN: a hierarchical amortized 3D generative adversarial network that generates whole {what} "
    "volumes. It decodes a global embedding slab by slab in training; a second branch generates and judges the "
    "whole volume at a quarter of the resolution, and an encoder maps real volumes to latent vectors, so that "
    "they can be reconstructed.",
)


def reconstruct(bundle: VolumeBundle) -> Config:
    """HA-GAN's encoders, then its generator: real volumes as the generator would make them."""
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/reconstruction'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "encoders_path": "$weights_beside(@ckpt_path, 'encoders')",
        "device": parts.DEVICE,
        "dataset_dir": None,
        "class_label": 0,
        **trained(bundle, 256, widths=bundle.method.widths),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", "class_label", *SHAPE, "sub_encoder_channels", "window"),
        "generator_def": generator(bundle.method),
        "encoder_def": encoder(),
        "sub_encoder_def": sub_encoder(),
        "network_def": {
            "_target_": "tools.networks.hierarchical_gan.Reconstructor",
            "generator": "@generator_def",
            "encoder": "@encoder_def",
            "sub_encoder": "@sub_encoder_def",
        },
        "network": "$set_implementation(@network_def).to(@device)",
        **volumes_to_reconstruct(
            "$[item | ({'label': @class_label} if @num_classes > 0 else {}) for item in volume_datalist(@dataset_dir)]",
            bundle.data.original_preprocessing,
        ),
        **reconstruction_engines(
            bundle.data.intensities,
            {
                "load_weights": parts.load_model("@ckpt_path", "$@network.generator"),
                "load_encoders": parts.load_model("@encoders_path", "$@network.encoders"),
            },
            "$monai.engines.PrepareBatchExtraInput({'label': 'label'}) if @num_classes > 0 "
            "else monai.engines.default_prepare_batch",
        ),
    }


def configs(bundle: VolumeBundle) -> dict[str, Config]:
    return {
        "train": train(bundle),
        "inference": inference(bundle),
        "reconstruct": reconstruct(bundle),
        "evaluate": evaluate(bundle),
    }


BUNDLES = (
    VolumeBundle("ha_gan_luna16", METHOD, CHEST_CT),
    VolumeBundle("ha_gan_gsp", METHOD, BRAIN_T1),
)
