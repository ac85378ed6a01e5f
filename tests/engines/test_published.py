"""What published networks are told, step by step, against the releases' own loops written out here."""

from itertools import pairwise

import pytest
import torch
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, RFlowScheduler
from torch import nn

from tools.engines.published import LatentSampler, MaisiSampler, check_parts
from tools.engines.sampling import DiffusionSampler
from tools.networks.published import PublishedDiffusion
from tools.transforms.maisi import CLASSES, bits

BETAS = {"schedule": "scaled_linear_beta", "beta_start": 0.0015, "beta_end": 0.0205, "clip_sample": False}


class Denoiser(nn.Module):
    """Predicts a mix of all that it is told, and keeps that."""

    def __init__(self, channels, regions=False, classes=None):
        super().__init__()
        self.channels = channels
        self.include_top_region_index_input = regions
        self.num_class_embeds = classes
        self.told = []

    def forward(self, x, timesteps, down_block_additional_residuals=(), mid_block_additional_residual=0, **told):
        self.told.append(told)
        more = sum(told.get(name, torch.zeros(1)).float().mean() for name in ("context", "spacing_tensor"))
        added = sum(down_block_additional_residuals) + mid_block_additional_residual
        return 0.1 * x.mean(1, keepdim=True).expand(-1, self.channels, -1, -1, -1) + 0.01 * more + added


class Autoencoder(nn.Module):
    """Repeats each latent as voxels; with classes, the likeliest one is given."""

    def __init__(self, factor=4, likely=None):
        super().__init__()
        self.factor, self.likely = factor, likely

    def decode_stage_2_outputs(self, z):
        image = nn.functional.interpolate(z[:, :1], scale_factor=self.factor)
        return image if self.likely is None else torch.eye(125)[self.likely][None, :, None, None, None] + 0 * image


class ControlNet(nn.Module):
    """Adds a share of the condition, at the latents' size."""

    def __init__(self):
        super().__init__()
        self.told = []

    def forward(self, x, timesteps, controlnet_cond, **told):
        self.told.append(told)
        small = nn.functional.avg_pool3d(controlnet_cond, 4).mean(1, keepdim=True)
        return [0.3 * small], 0.2 * small


def test_the_brain_is_told_its_conditions_as_channels_and_by_attention():
    network = PublishedDiffusion(Denoiser(3), Autoencoder(8))
    noise = torch.randn(1, 3, 2, 3, 2)
    told = {"gender": 0.0, "age": 0.9, "ventricular_volume": 0.2, "brain_volume": 0.4}
    made = LatentSampler(DiffusionSampler(DDIMScheduler(1000, **BETAS), 50, latents=True), told)(noise, network)

    scheduler = DDIMScheduler(1000, **BETAS)
    scheduler.set_timesteps(50)
    context, sample = torch.tensor([[[0.0, 0.9, 0.2, 0.4]]]), noise
    channels = context[0, 0][None, :, None, None, None].expand(1, 4, 2, 3, 2)
    for t in scheduler.timesteps:
        predicted = network.denoiser(torch.cat([sample, channels], 1), t[None], context=context)
        sample, _ = scheduler.step(predicted, t, sample)
    torch.testing.assert_close(made, 2 * network.autoencoder.decode_stage_2_outputs(sample).clamp(0, 1) - 1)
    assert torch.equal(network.denoiser.told[0]["context"], context)


def flow(steps=3):
    return RFlowScheduler(1000, use_discrete_timesteps=False, use_timestep_transform=True, scale=1.4)


def test_the_second_form_is_told_spacing_kind_and_labels():
    network = PublishedDiffusion(Denoiser(4, classes=128), Autoencoder(), ControlNet())
    network.scale_factor.fill_(0.8)
    noise = torch.randn(1, 4, 4, 4, 4)
    labels = torch.zeros(1, 1, 16, 16, 16)
    labels[..., 8:] = CLASSES["liver"]
    sampler = MaisiSampler(DiffusionSampler(flow(), 3, latents=True), (0.8, 0.9, 2.5), ["chest"])
    made = sampler(noise, network, label=labels)

    scheduler = flow()
    scheduler.set_timesteps(3, input_img_size_numel=64)
    sample, times = noise, [*scheduler.timesteps.float(), torch.zeros(())]
    spacing, kind = torch.tensor([[80.0, 90.0, 250.0]]), torch.tensor([1])
    for t, after in pairwise(times):
        down, middle = network.controlnet(sample, t[None], bits(labels), class_labels=kind)
        v = network.denoiser(
            sample,
            t[None],
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            spacing_tensor=spacing,
            class_labels=kind,
        )
        sample = sample + v * float(t - after) / 1000
    image = 2 * network.autoencoder.decode_stage_2_outputs(sample / 0.8).clamp(0, 1) - 1
    torch.testing.assert_close(made[:, :1][labels > 0], image[labels > 0])
    assert (made[:, :1][labels == 0] == -1).all()
    assert torch.equal(made[:, 1:], labels)
    for told in (network.denoiser.told[0], network.controlnet.told[0] | {"spacing_tensor": spacing}):
        assert torch.equal(told["class_labels"], kind)
        torch.testing.assert_close(told["spacing_tensor"], spacing)
    assert network.denoiser.told[0].keys() == {"class_labels", "spacing_tensor"}


@pytest.mark.parametrize(("labelled", "first", "last"), [(False, 1, 2), (True, 0, 3)])
def test_the_first_form_is_told_the_first_and_the_last_region(labelled, first, last):
    network = PublishedDiffusion(Denoiser(4, regions=True), Autoencoder(), ControlNet())
    labels = torch.zeros(1, 1, 16, 16, 16)
    labels[..., :4], labels[..., 4:] = CLASSES["skull"], CLASSES["left femur"]
    sampler = MaisiSampler(
        DiffusionSampler(DDPMScheduler(2, clip_sample=False), 2, latents=True), (1, 1, 1), ["abdomen", "chest"]
    )
    sampler(torch.randn(1, 4, 4, 4, 4), network, label=labels if labelled else None)
    (told, _) = network.denoiser.told
    assert told["top_region_index_tensor"].tolist() == [[100.0 * (place == first) for place in range(4)]]
    assert told["bottom_region_index_tensor"].tolist() == [[100.0 * (place == last) for place in range(4)]]
    assert "class_labels" not in told


def test_a_label_map_is_made_of_the_image_s_noise_and_the_sizes():
    likely = 21
    network = PublishedDiffusion(
        Denoiser(4, classes=128), Autoencoder(), ControlNet(), Denoiser(4), Autoencoder(likely=likely)
    )
    masks = DiffusionSampler(DDPMScheduler(2, clip_sample=False), 2, latents=True)
    sampler = MaisiSampler(
        DiffusionSampler(flow(), 1, latents=True),
        (4.0, 4.0, 4.0),
        ["chest"],
        make_labels=True,
        mask_sampler=masks,
        mask_size=(32, 16, 16),
        mask_spacing=(2.0, 4.0, 4.0),
        sizes={"hepatic tumor": 0.3},
    )
    made = sampler(torch.randn(2, 4, 4, 4, 8), network)
    assert made.shape == (2, 2, 16, 16, 32)
    assert (made[:, 1, ..., 8:24] == CLASSES["hepatic tumor"]).all()  # 16 of 32 slices: the others are padding
    assert (made[:, 1, ..., :8] == 0).all()
    assert torch.equal(network.mask_denoiser.told[0]["context"], torch.tensor([[[0.5] * 5 + [-1, -1, 0.3, -1, -1]]]))


def test_what_the_networks_cannot_do_is_said():
    network = PublishedDiffusion(Denoiser(4, classes=128), Autoencoder())
    plain = DiffusionSampler(flow(), 1, latents=True)
    noise = torch.randn(1, 4, 4, 4, 4)
    with pytest.raises(ValueError, match="have no ControlNet: give --labels none"):
        MaisiSampler(plain, (1, 1, 1), ["chest"])(noise, network, label=torch.ones(1, 1, 16, 16, 16))
    with pytest.raises(ValueError, match="no networks for that: give --labels FOLDER or none"):
        MaisiSampler(plain, (1, 1, 1), ["chest"], make_labels=True)(noise, network)
    with pytest.raises(ValueError, match=r"conditions are {'age': 70}, expected numbers from 0 to 1"):
        LatentSampler(plain, {"age": 70, "gender": 0})


@pytest.mark.parametrize(
    ("length", "parts", "fitting"), [(256, 8, None), (40, 4, 2), (64, 8, 4), (96, 5, 4), (4, 2, 1)]
)
def test_parts_in_which_voxels_would_be_lost(length, parts, fitting):
    if fitting is None:
        check_parts(length, parts)
        return
    with pytest.raises(ValueError, match=f"Give --num_splits {fitting}$"):
        check_parts(length, parts)
    check_parts(length, fitting)
