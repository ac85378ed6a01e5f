"""The methods, each by what it does not share with the others."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.volume_gan import papers
from tools.catalogue.volume_gan.entry import Method, learn, repeated

ONE_AFTER_THE_OTHER = {"gain": 1}
"""An update that is rarer than others is meant to be: its gradient is not raised for it."""

QUICKLY = "$0.0005 if @dataset_dir is None else 0.0002"
"""The released codes' rate, and more for small networks and short trainings, on phantoms."""


def judge(name: str = "discriminator", **more: str | int) -> Config:
    return learn(name, {name: f"@{name}"}, **more)


def each(name: str, network: str, **more: str) -> Config:
    """An update that has its own interval, an option."""
    chosen = f"$torch.optim.RMSprop({network}.parameters(), lr=@learning_rates#{name}) if @lipschitz == 'clipping' "
    adam = f"else torch.optim.Adam({network}.parameters(), lr=@learning_rates#{name}, betas=tuple(@betas), "
    adam += "fused=@implementation == 'optimised')"
    role = "generator" if name == "generator" else name
    return learn(role, {role: network}, chosen + adam, every=f"@every#{name}", **ONE_AFTER_THE_OTHER, **more)


WGAN_GP = Method(
    name="WGAN-GP",
    objective="volume_gan.WassersteinObjective",
    updates=(each("discriminator", "@discriminator", private="@private"), each("generator", "@network")),
    learning_rates={
        "discriminator": "$0.0001 if @lipschitz == 'penalty' else 0.00005",
        "generator": "$0.0001 if @lipschitz == 'penalty' else 0.00005",
    },
    betas=(0.0, 0.9),
    generator={"first": "linear"},
    discriminator={
        "norm": "$'layer' if @lipschitz == 'penalty' else 'batch'",
        "score_map": False,
    },
    options={
        "lipschitz": "penalty",
        "every": {"discriminator": 1, "generator": 5},
        "epsilon": None,
        "delta": 1e-5,
        "max_norm": 1.0,
    },
    loss_options={
        "lipschitz": "@lipschitz",
        "penalty": 10.0,
        "penalty_per_voxel": False,
        "clip": 0.01,
        "rows": "$None if @epsilon is None else @batch_size",
    },
    private=True,
    authors="M. Arjovsky, S. Chintala and L. Bottou, and I. Gulrajani and others; in 3D by G. Kwon, C. Han and D. Kim",
    papers=(papers.WGAN_GP, papers.WGAN, papers.KWON),
    description="A Wasserstein GAN of whole {what} volumes, with a penalty of the critic's gradient or clipped "
    "weights, in the networks with which later papers on 3D generators compare theirs.",
)
VAE_GAN = Method(
    name="VAE-GAN",
    objective="auto_encoding_gan.VAEGANObjective",
    updates=(judge(), learn("generator", {"generator": "@network"}), learn("encoder", {"encoder": "@encoder"})),
    learning_rates={"discriminator": 0.0001, "generator": 0.0001, "encoder": 0.0001},
    betas=(0.9, 0.999),
    generator={"first": "linear"},
    discriminator={"norm": "batch"},
    encoder="variational",
    loss_options={
        "reconstruction": "voxels",
        "generator_weight": 20.0,
        "encoder_weight": 10.0,
        "saturating": False,
    },
    labelled_loss={"label_weight": 1.0},
    authors="A. B. L. Larsen and others; in 3D by G. Kwon, C. Han and D. Kim",
    papers=(papers.VAE_GAN, papers.KWON),
    description="A variational autoencoder of whole {what} volumes whose reconstructions and samples a discriminator "
    "judges, so that volumes are encoded, decoded and made.",
)
ALPHA_GAN = Method(
    name="alpha-GAN",
    objective="auto_encoding_gan.AlphaGANObjective",
    updates=(
        learn(
            "generator",
            {"encoder": "@encoder", "generator": "@network"},
            repeated("generator", encoder="@encoder"),
        ),
        judge(),
        judge("code_discriminator"),
    ),
    learning_rates=dict.fromkeys(("generator", "discriminator", "code_discriminator"), QUICKLY),
    betas=(0.5, 0.9),
    discriminator={"norm": "$'layer' if @adversarial == 'wasserstein' else 'batch'"},
    encoder="code",
    codes=True,
    options={"adversarial": "wasserstein", "generator_steps": 1},
    loss_options={"adversarial": "@adversarial", "reconstruction_weight": 10.0, "penalty": 10.0},
    labelled_loss={"label_weight": 1.0},
    authors="M. Rosca and others; in 3D, with Wasserstein distances, by G. Kwon, C. Han and D. Kim",
    papers=(papers.KWON, papers.ALPHA_GAN, papers.WGAN_GP),
    description="An auto-encoding GAN of whole {what} volumes: one discriminator judges reconstructions and samples, "
    "another one the codes, so that volumes are encoded, decoded and made.",
)
CCE_GAN = Method(
    name="CCE-GAN",
    objective="auto_encoding_gan.CCEGANObjective",
    updates=(
        judge(),
        learn(
            "generator",
            {"generator": "@network"},
            repeated("generator"),
            every="@every#generator",
            **ONE_AFTER_THE_OTHER,
        ),
        learn("encoder", {"encoder": "@encoder"}, every="@every#encoder", **ONE_AFTER_THE_OTHER),
    ),
    learning_rates=dict.fromkeys(("discriminator", "generator", "encoder"), QUICKLY),
    betas=(0.5, 0.9),
    discriminator={"norm": "layer"},
    encoder="code",
    options={"every": {"generator": 3, "encoder": 3}, "generator_steps": 1},
    loss_options={
        "reconstruction_weight": 100.0,
        "code_weight": 50.0,
        "latent_weight": 50.0,
        "sinkhorn_weight": 100.0,
        "sinkhorn_points": "numbers",
        "penalty": 10.0,
    },
    labelled_loss={"label_weight": 1.0},
    authors="S. Xing, H. Sinha and S. J. Hwang",
    papers=(papers.CCE_GAN, papers.KWON, papers.SINKHORN),
    description="An auto-encoding GAN of whole {what} volumes whose codes come back from what is made of them, and "
    "whose encoder is held to the distribution of latents by Sinkhorn's cost.",
)
GAN_3D = Method(
    name="3D-GAN",
    objective="volume_gan.GAN3DObjective",
    updates=(judge(rests="$@objective.discriminator_rests"), learn("generator", {"generator": "@network"})),
    learning_rates={"discriminator": 0.00001, "generator": 0.0025},
    betas=(0.5, 0.999),
    generator={"upsampling": "transposed", "bias": True, "output": "sigmoid"},
    discriminator={"norm": "batch", "unit": True},
    loss_options={"resting_accuracy": 0.8},
    uniform=True,
    latent_dim=200,
    authors="J. Wu, C. Zhang, T. Xue, W. T. Freeman and J. B. Tenenbaum",
    papers=(papers.GAN_3D,),
    description="3D-GAN, the first GAN of voxels, here of whole {what} volumes: its discriminator rests while it gets "
    "most of a batch right.",
)
