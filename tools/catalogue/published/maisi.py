"""`inference.json` of NVIDIA's MAISI: CT at any size and spacing, alone or of a label map."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.catalogue.published.entry import (
    PublishedBundle,
    beginning,
    engines,
    network,
    noise_from_seed,
    sampler,
)
from tools.catalogue.published.metadata import VERSION

RFLOW = "@form == 'rflow'"

MAISI = PublishedBundle(
    "maisi_ct",
    title="MAISI",
    what="CT of the body",
    modality="CT",
    window=(-1000, 1000),
    size=(256, 256, 256),
    spacing=(1.5, 1.5, 1.5),
    axcodes="RAS",
    latent_channels=4,
    halvings=(2, 3),
    widths={
        "autoencoder_channels": [64, 128, 256],
        "denoiser_channels": [64, 128, 256, 512],
        "mask_autoencoder_channels": [32, 64, 128],
        "mask_denoiser_channels": [64, 128, 256, 512],
    },
    steps={"rflow": 30, "ddpm": 1000},
    labelled=True,
    conditions={},
    trained_on="The weights were trained by NVIDIA on CT and MR of many collections: the autoencoder on 39,206 CT and "
    "18,827 MR, the diffusion on 10,277 CT of 24 sets (11,502 in its second form), each under its own terms.",
    weights_terms="The weights are NVIDIA's: those of MONAI's model zoo under NVIDIA NCLS v1, which is for "
    "non-commercial use, those of\nhuggingface.co/nvidia/NV-Generate-CT under the NVIDIA Open Model License. None are "
    "part of this bundle.",
    source="MONAI's model zoo (`maisi_ct_generative`) and Hugging Face (`nvidia/NV-Generate-CT`)",
    references=(
        "Guo P, Zhao C, Yang D, Xu Z, Nath V, Tang Y, et al. MAISI: medical AI for synthetic imaging. WACV 2025, "
        "arXiv 2409.11169.",
        "Zhao C, Guo P, Yang D, et al. MAISI-v2: accelerated 3D high-resolution medical image synthesis with rectified "
        "flow and region-specific contrastive loss. AAAI 2026, arXiv 2508.05772.",
    ),
    parameters={
        "autoencoder": (20_944_897, 130),
        "denoiser, rectified flow": (180_500_868, 435),
        "denoiser, DDPM": (169_370_884, 372),
        "ControlNet, rectified flow": (72_037_072, 231),
        "ControlNet, DDPM": (68_644_944, 196),
        "denoiser of label maps": (197_163_012, 558),
        "autoencoder of label maps": (5_256_509, 114),
    },
)

MAISI_NETWORKS = "monai.apps.generation.maisi.networks"

ATTENTION = {"attention_levels": [False, False, True, True], "num_head_channels": [0, 0, 32, 32], "num_res_blocks": 2}
"""Of all three networks that work on latents."""


def inference(bundle: PublishedBundle) -> Config:
    defaults = {"form": "rflow", "networks": ["autoencoder", "denoiser"], **bundle.widths}
    checked = (
        "size",
        "spacing",
        "steps",
        "mask_size",
        "mask_steps",
        "num_splits",
        "mask_num_splits",
        "slab_length",
        "layout",
    )
    makes = "$@labels == 'made'"
    return {
        **beginning(
            bundle,
            VERSION,
            defaults,
            labels="$'made' if 'mask_denoiser' in @networks else 'none'",
            anatomy_sizes={},
            clean_labels=True,
            body_region=["chest", "abdomen"],
            steps=f"$30 if {RFLOW} else 1000",
            mask_steps=1000,
            mask_size=[256, 256, 256],
            mask_spacing=1.5,
            num_splits=2,
            mask_num_splits=8,
        ),
        **parts.check("device", "seed", "num_volumes", *checked),
        "datalist": f"$labels_datalist(@num_volumes, @seed, @labels, name='{bundle.name}')",
        **network(bundle, denoiser(), autoencoder(), **label_networks()),
        "rflow": {
            "_target_": "RFlowScheduler",
            "num_train_timesteps": 1000,
            "use_discrete_timesteps": False,
            "use_timestep_transform": True,
            "sample_method": "uniform",
            "scale": 1.4,
        },
        "ddpm": ddpm(),
        "scheduler": f"$@rflow if {RFLOW} else @ddpm",
        "mask_scheduler": ddpm(),
        "preprocessing": parts.compose(
            noise_from_seed(bundle),
            {
                "_target_": "tools.transforms.maisi.LoadLabelsd",
                "keys": "labels",
                "spacing": "@spacing",
                "size": "@size",
            },
        ),
        **parts.one_by_one("@datalist"),
        "inferer": {
            "_target_": "tools.engines.published.MaisiSampler",
            "sampler": sampler("@scheduler", "@steps"),
            "spacing": "@spacing",
            "regions": "@body_region",
            "make_labels": makes,
            "mask_sampler": sampler("@mask_scheduler", "@mask_steps"),
            "mask_size": "@mask_size",
            "mask_spacing": "$[@mask_spacing] * 3",
            "sizes": "@anatomy_sizes",
            "clean": "@clean_labels",
            "num_splits": "@num_splits",
            "mask_num_splits": "@mask_num_splits",
        },
        **engines(bundle, [{"_target_": "tools.transforms.published.SplitLabelsd", "keys": "pred"}]),
        **parts.start_inference(
            "$print('Wrote', @output_dir if @labels == 'none' else @folder.finish() or @output_dir)"
        ),
    }


def ddpm() -> Config:
    return {
        "_target_": "DDPMScheduler",
        "num_train_timesteps": 1000,
        "schedule": "scaled_linear_beta",
        "beta_start": 0.0015,
        "beta_end": 0.0195,
        "clip_sample": False,
    }


def autoencoder() -> Config:
    return maisi_autoencoder(
        {
            "in_channels": 1,
            "out_channels": 1,
            "num_channels": "@autoencoder_channels",
            "num_res_blocks": [2, 2, 2],
            "use_checkpointing": False,
            "use_convtranspose": False,
            "num_splits": "@num_splits",
        }
    )


def maisi_autoencoder(own: Config) -> Config:
    """Norms in half precision take a GPU's autocast, which the convolutions after them need."""
    return {
        "_target_": f"{MAISI_NETWORKS}.autoencoderkl_maisi.AutoencoderKlMaisi",
        "spatial_dims": 3,
        "latent_channels": 4,
        "norm_num_groups": 32,
        "norm_eps": 1e-06,
        "attention_levels": [False, False, False],
        "with_encoder_nonlocal_attn": False,
        "with_decoder_nonlocal_attn": False,
        **own,
        "dim_split": 1,
        "norm_float16": "@half",
    }


def denoiser() -> Config:
    return {
        "_target_": f"{MAISI_NETWORKS}.diffusion_model_unet_maisi.DiffusionModelUNetMaisi",
        "spatial_dims": 3,
        "in_channels": 4,
        "out_channels": 4,
        "num_channels": "@denoiser_channels",
        **ATTENTION,
        "include_top_region_index_input": f"$not {RFLOW}",
        "include_bottom_region_index_input": f"$not {RFLOW}",
        "include_spacing_input": True,
        **second_form(),
    }


def second_form() -> Config:
    """What distinguishes the networks of the rectified flow; flash attention is a GPU's."""
    return {
        "num_class_embeds": f"$128 if {RFLOW} else None",
        "resblock_updown": f"${RFLOW}",
        "include_fc": f"${RFLOW}",
        "use_flash_attention": "@half",
    }


def label_networks() -> dict[str, Config]:
    """Those that the weights may be without."""
    definitions = {
        "controlnet": {
            "_target_": f"{MAISI_NETWORKS}.controlnet_maisi.ControlNetMaisi",
            "spatial_dims": 3,
            "in_channels": 4,
            "num_channels": "@denoiser_channels",
            **ATTENTION,
            "conditioning_embedding_in_channels": 8,
            "conditioning_embedding_num_channels": [8, 32, 64],
            **second_form(),
        },
        "mask_denoiser": {
            "_target_": "DiffusionModelUNet",
            "spatial_dims": 3,
            "in_channels": 4,
            "out_channels": 4,
            "channels": "@mask_denoiser_channels",
            **ATTENTION,
            "with_conditioning": True,
            "cross_attention_dim": 10,
            "upcast_attention": True,
            "use_flash_attention": "@half",
        },
        "mask_autoencoder": maisi_autoencoder(
            {
                "in_channels": 8,
                "out_channels": 125,
                "num_channels": "@mask_autoencoder_channels",
                "num_res_blocks": [1, 2, 2],
                "use_checkpointing": True,
                "use_convtranspose": True,
                "num_splits": "@mask_num_splits",
            }
        ),
    }
    return {
        name: {"_target_": definition["_target_"], "_disabled_": f"$'{name}' not in @networks", **definition}
        for name, definition in definitions.items()
    }
