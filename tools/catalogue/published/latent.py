"""`inference.json` of MONAI's latent diffusion of brains: noise of one size becomes MR, with or without conditions."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.catalogue.published.entry import PublishedBundle, beginning, engines, network, noise_from_seed, sampler
from tools.catalogue.published.metadata import VERSION

BRATS = PublishedBundle(
    "monai_brats_ldm",
    title="MONAI's BraTS latent diffusion",
    what="FLAIR MR of brains with tumours",
    modality="MR",
    window=(0, 1000),
    size=(144, 176, 112),
    spacing=(1.1, 1.1, 1.1),
    axcodes="RAS",
    latent_channels=8,
    halvings=(2, 2),
    widths={"autoencoder_channels": [64, 128, 256], "denoiser_channels": [256, 256, 512]},
    steps={"ddpm": 50},
    labelled=False,
    conditions={},
    trained_on="The weights were trained by the MONAI Consortium on FLAIR MR of BraTS 2016 and 2017, from the Medical "
    "Segmentation Decathlon (Task01, CC BY-SA 4.0).",
    weights_terms="The weights are those of `brats_mri_generative_diffusion` in MONAI's model zoo, whose bundle is "
    "under Apache 2.0.\nNone are part of this bundle.",
    source="MONAI's model zoo (`brats_mri_generative_diffusion`)",
    references=(
        "MONAI Consortium. BraTS MRI 3D latent diffusion generative model, bundle of the MONAI Model Zoo.",
        "Rombach R, Blattmann A, Lorenz D, Esser P, Ommer B. High-resolution image synthesis with latent diffusion "
        "models. CVPR 2022.",
    ),
    parameters={"autoencoder": (21_000_353, 130), "denoiser": (189_325_576, 296)},
)

BRAIN = PublishedBundle(
    "monai_brain_ldm",
    title="Brain latent diffusion",
    what="T1-weighted MR of brains",
    modality="MR",
    window=(0, 1000),
    size=(160, 224, 160),
    spacing=(1.0, 1.0, 1.0),
    axcodes="LAS",
    latent_channels=3,
    halvings=(3, 2),
    widths={"autoencoder_channels": [64, 128, 128, 128], "denoiser_channels": [256, 512, 768]},
    steps={"ddpm": 50},
    labelled=False,
    conditions={"gender": 0.0, "age": 0.1, "ventricular_volume": 0.2, "brain_volume": 0.4},
    trained_on="The weights were trained by Pinaya et al. on T1-weighted MR of 31,740 participants of the UK Biobank, "
    "whose data are given to registered researchers.",
    weights_terms="The weights are those of `brain_image_synthesis_latent_diffusion_model` in MONAI's model zoo, which "
    "states no licence for\nthem but that of its bundles, Apache 2.0. None are part of this bundle.",
    source="MONAI's model zoo (`brain_image_synthesis_latent_diffusion_model`)",
    references=(
        "Pinaya WHL, Tudosiu PD, Dafflon J, da Costa PF, Fernandez V, Nachev P, Ourselin S, Cardoso MJ. Brain imaging "
        "generation with latent diffusion models. DGM4MICCAI 2022, arXiv 2209.07162.",
    ),
    parameters={"autoencoder": (13_766_248, 162), "denoiser": (553_168_899, 528)},
)


def inference(bundle: PublishedBundle) -> Config:
    given = {"conditions": dict(bundle.conditions)} if bundle.conditions else {}
    return {
        **beginning(bundle, VERSION, dict(bundle.widths), **given, steps=bundle.steps["ddpm"]),
        **parts.check("device", "seed", "num_volumes", "size", "spacing", "steps", "slab_length", "layout"),
        "datalist": f"$seed_datalist(@num_volumes, @seed, name='{bundle.name}')",
        **network(bundle, denoiser(bundle), autoencoder(bundle)),
        "scheduler": {
            "_target_": "DDIMScheduler",
            "num_train_timesteps": 1000,
            "schedule": "scaled_linear_beta",
            "beta_start": 0.0015,
            "beta_end": 0.0205 if bundle.conditions else 0.0195,
            "clip_sample": False,
        },
        "preprocessing": parts.compose(noise_from_seed(bundle)),
        **parts.one_by_one("@datalist"),
        "inferer": {
            "_target_": "tools.engines.published.LatentSampler",
            "sampler": sampler("@scheduler", "@steps"),
            **({"conditions": "@conditions"} if bundle.conditions else {}),
        },
        **engines(bundle, []),
        **parts.start_inference("$print('Wrote', @output_dir, 'and', @output_dir + '/montage.png')"),
    }


def autoencoder(bundle: PublishedBundle) -> Config:
    return {
        "_target_": "AutoencoderKL",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 1,
        "latent_channels": bundle.latent_channels,
        "channels": "@autoencoder_channels",
        "num_res_blocks": 2,
        "norm_num_groups": 32,
        "norm_eps": 1e-06,
        "attention_levels": [False] * len(bundle.widths["autoencoder_channels"]),
        "with_encoder_nonlocal_attn": False,
        "with_decoder_nonlocal_attn": False,
        "include_fc": False,
    }


def denoiser(bundle: PublishedBundle) -> Config:
    """The brain's attends to its conditions, by one head a level; the other one has none."""
    own = {
        "num_head_channels": "$[0, *@denoiser_channels[1:]]",
        "resblock_updown": True,
        "with_conditioning": True,
        "transformer_num_layers": 1,
        "cross_attention_dim": len(bundle.conditions),
        "upcast_attention": True,
    }
    alone = {"num_head_channels": [0, 64, 64], "include_fc": False, "use_combined_linear": False}
    return {
        "_target_": "DiffusionModelUNet",
        "spatial_dims": 3,
        "in_channels": bundle.latent_channels + len(bundle.conditions),
        "out_channels": bundle.latent_channels,
        "channels": "@denoiser_channels",
        "num_res_blocks": 2,
        "attention_levels": [False, True, True],
        **(own if bundle.conditions else alone),
    }
