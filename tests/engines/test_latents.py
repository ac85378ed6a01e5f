"""From samples to latents with a scale, and from noise to samples."""

import itertools

import pytest
import torch
from monai.networks.nets import AutoencoderKL, DiffusionModelUNet
from monai.networks.schedulers import RFlowScheduler

from tests.losses.test_autoencoder import CHANNELS, SIZE, kl_network, labelled, vq_network
from tools.engines.latents import EncodeVolumes, LatentDataset, LatentSampler
from tools.engines.samples import PrepareSamples
from tools.engines.sampling import DiffusionSampler
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update
from tools.losses.diffusion import DiffusionObjective
from tools.networks.latent_diffusion import LatentAutoencoder, LatentDiffusion


def volumes(number=3):
    batch = labelled(number)
    return [{key: value[i] for key, value in batch.items()} for i in range(number)]


def made(network=kl_network):
    torch.manual_seed(0)
    return LatentAutoencoder(network(3), 1).eval()


def denoiser():
    return DiffusionModelUNet(
        3, 2, 2, channels=(8,), attention_levels=(False,), num_res_blocks=1, norm_num_groups=4, num_head_channels=8
    )


@torch.no_grad()
@pytest.mark.parametrize("network", [kl_network, vq_network])
def test_latents_have_a_deviation_of_one_and_lead_back(network):
    autoencoder = made(network)
    latents = LatentDataset(volumes(), autoencoder, CHANNELS)
    latents.encode()
    together = torch.stack([latents[i]["image"] for i in range(len(latents))])
    assert together.shape == (3, *autoencoder.latent_shape(SIZE)) == (3, 2, 4, 4, 4)
    assert together.double().std().item() == pytest.approx(1, abs=1e-6)
    x = latents.sample(1)
    torch.testing.assert_close(autoencoder.to_latent(x), together[1:2])
    torch.testing.assert_close(autoencoder.from_latent(together[1:2]), autoencoder(x), rtol=0, atol=1e-5)
    # MONAI's own way for the images: its network's reconstruction
    if network is kl_network:
        torch.testing.assert_close(autoencoder(x)[:, :1], autoencoder.network.reconstruct(x)[:, :1])
    labels = autoencoder(x)[:, 1:]
    assert -1 <= labels.min() < labels.max() <= 1


@torch.no_grad()
def test_on_patches_the_network_sees_them_as_channels():
    torch.manual_seed(0)
    channels = 3 * 2**3
    network = AutoencoderKL(
        3,
        channels,
        channels,
        channels=(8, 8),
        num_res_blocks=1,
        attention_levels=(False, False),
        latent_channels=2,
        norm_num_groups=4,
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
    )
    autoencoder = LatentAutoencoder(network, 1, patch=2).eval()
    autoencoder.scale.fill_(1.0)
    assert autoencoder.factor == 4
    assert autoencoder.latent_shape([8, 12, 16]) == (2, 2, 3, 4)
    x = torch.randn(2, 3, 8, 12, 16)
    # channel c of voxel (i, j, k) in a patch becomes channel 8 c + 4 i + 2 j + k
    places = list(itertools.product(range(3), (0, 1), (0, 1), (0, 1)))
    patches = torch.stack([x[:, c, i::2, j::2, k::2] for c, i, j, k in places], 1)
    latent = autoencoder.to_latent(x)
    torch.testing.assert_close(latent, network.encode(patches)[0])
    outputs, decoded = autoencoder.outputs(latent), network.decode(latent)
    voxels = torch.zeros(2, 3, 9, 13, 17)  # with the first of each axis twice
    for number, (c, i, j, k) in enumerate(places):
        voxels[:, c, 1 + i :: 2, 1 + j :: 2, 1 + k :: 2] = decoded[:, number]
    voxels[:, :, 0] = voxels[:, :, 1]
    voxels[..., 0, :] = voxels[..., 1, :]
    voxels[..., 0] = voxels[..., 1]
    wanted = sum(voxels[:, :, i : 8 + i, j : 12 + j, k : 16 + k] for i in (0, 1) for j in (0, 1) for k in (0, 1))
    torch.testing.assert_close(outputs, wanted / 8, rtol=0, atol=1e-5)
    torch.testing.assert_close(autoencoder.from_latent(latent, 4), autoencoder.from_latent(latent), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="patch is 0, expected a whole number"):
        LatentAutoencoder(network, 1, patch=0)


def test_a_scale_that_was_measured_is_kept():
    """A resumed run, or weights of a server, have it."""
    autoencoder = made()
    autoencoder.scale.fill_(2.0)
    LatentDataset(volumes(), autoencoder, CHANNELS).encode()
    assert autoencoder.scale == 2


def test_without_a_scale_or_latents_it_is_said():
    autoencoder = made()
    with pytest.raises(ValueError, match="have no scale yet: it is measured when a denoiser is trained"):
        autoencoder.from_latent(torch.zeros(1, 2, 4, 4, 4))
    with pytest.raises(ValueError, match="there are no latents yet: call encode, or give"):
        LatentDataset(volumes(), autoencoder, CHANNELS)[0]
    with pytest.raises(ValueError, match=r"size \[8, 8, 7\], expected lengths that 2 divides"):
        autoencoder.latent_shape([8, 8, 7])
    with pytest.raises(ValueError, match="slab_length is -1"):
        LatentSampler(DiffusionSampler(RFlowScheduler(10), 2), slab_length=-1)


def test_a_denoiser_learns_from_latents_alone():
    """They are there when its trainer starts, and the autoencoder stands still."""
    autoencoder, network = made(), denoiser()
    latents = LatentDataset(volumes(4), autoencoder, CHANNELS)
    loader = torch.utils.data.DataLoader(latents, batch_size=2)
    objective = DiffusionObjective(network, RFlowScheduler(10))
    update = Update(
        "denoiser", {"denoiser": network}, torch.optim.SGD(network.parameters(), 0.1), objective.denoiser_loss
    )
    trainer = AlternatingTrainer("cpu", 1, loader, [update], objective.draw, train_handlers=[EncodeVolumes(latents)])
    before = [p.clone() for p in autoencoder.parameters()]
    calls = []
    autoencoder.network.encoder.register_forward_hook(lambda *_: calls.append(trainer.state.iteration))
    trainer.run()
    assert calls == [0] * 4
    assert all(torch.equal(a, b) for a, b in zip(before, autoencoder.parameters(), strict=True))
    assert latents.latents.shape == (4, 2, 4, 4, 4)


@torch.no_grad()
@pytest.mark.parametrize("network", [kl_network, vq_network])
def test_samples_are_decoded_with_the_scale_in_parts_or_at_once(network):
    autoencoder = made(network)
    autoencoder.scale.fill_(0.5)
    both = LatentDiffusion(autoencoder, denoiser())
    sampler = DiffusionSampler(RFlowScheduler(10), 3, latents=True)
    noise = torch.randn(2, 2, 4, 4, 4)
    latent = sampler(noise, both.denoiser)
    whole = LatentSampler(sampler, slab_length=0)(noise, both)
    outputs = autoencoder.network.decode_stage_2_outputs(latent / 0.5)
    expected = torch.cat([outputs[:, :1], torch.tanh(outputs[:, 1:] / 2)], 1)
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(LatentSampler(sampler, slab_length=3)(noise, both), whole, rtol=0, atol=1e-5)


def test_the_state_has_the_scale():
    autoencoder = made()
    autoencoder.scale.fill_(3.0)
    state = LatentDiffusion(autoencoder, denoiser()).state_dict()
    assert state["autoencoder.scale"] == 3
    assert {name.split(".")[0] for name in state} == {"autoencoder", "denoiser"}


def test_samples_are_what_they_should_become_again():
    given, wanted = PrepareSamples(CHANNELS)(labelled())
    assert torch.equal(given, wanted)
    assert torch.equal(given, CHANNELS.join(**labelled()))
