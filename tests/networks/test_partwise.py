"""Decoding slab by slab gives what MONAI's autoencoders decode as a whole, and holds less at a time."""

import pytest
import torch
from monai.apps.generation.maisi.networks.autoencoderkl_maisi import AutoencoderKlMaisi
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import VQVAE, AutoencoderKL
from torch import nn
from torch.profiler import ProfilerActivity, profile

from tools.networks.partwise import decode_partwise

KL = {
    "spatial_dims": 3,
    "channels": (8, 16),
    "num_res_blocks": 2,
    "attention_levels": (False, False),
    "latent_channels": 2,
    "norm_num_groups": 4,
    "with_encoder_nonlocal_attn": False,
    "with_decoder_nonlocal_attn": False,
}
MAISI = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 1,
    "num_channels": (8, 16),
    "num_res_blocks": (1, 2),
    "attention_levels": (False, False),
    "latent_channels": 2,
    "norm_num_groups": 4,
    "num_splits": 2,
    "save_mem": False,
}
VQ = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 1,
    "channels": (8, 8),
    "num_res_channels": 8,
    "num_res_layers": 2,
    "downsample_parameters": (2, 4, 1, 1),
    "upsample_parameters": (2, 4, 1, 1, 0),
    "embedding_dim": 2,
}
NETWORKS = {
    "kl": lambda: AutoencoderKL(**KL),
    "kl, deconvolution": lambda: AutoencoderKL(**KL | {"use_convtranspose": True}),
    "kl, attention": lambda: AutoencoderKL(
        **KL | {"attention_levels": (False, True), "with_decoder_nonlocal_attn": True, "include_fc": False}
    ),
    "kl, 2D": lambda: AutoencoderKL(**KL | {"spatial_dims": 2}),
    "maisi": lambda: AutoencoderKlMaisi(**MAISI),
    "maisi, deconvolution": lambda: AutoencoderKlMaisi(**MAISI | {"use_convtranspose": True}),
    "vq": lambda: VQVAE(**VQ),
    "vq, convolutions that lengthen": lambda: VQVAE(**VQ | {"upsample_parameters": (2, 4, 1, 1, 1)}),
}


def made(name):
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):  # as after training
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    return network


def latent(dims=3):
    """Whose mean changes, as that of a body does: what windows are wrong about."""
    z = torch.randn(2, 2, 12, *[8] * (dims - 1), generator=torch.Generator().manual_seed(1))
    z[:, :, :5] += 2
    return z


@pytest.mark.parametrize("length", [1, 2, 5, 64])
@pytest.mark.parametrize("name", NETWORKS)
def test_parts_are_the_whole(name, length):
    network, z = made(name), latent(2 if "2D" in name else 3)
    with torch.no_grad():
        whole = network.decode(z)
    torch.testing.assert_close(decode_partwise(network, z, length), whole, rtol=0, atol=1e-5 * whole.std().item())
    if name == "maisi":
        assert network.decoder.blocks[0].num_splits == 2  # as it was


def test_windows_are_not_the_whole():
    """What is avoided: a tenth of the deviation and more, with the overlap that MAISI was published with."""
    network, z = made("kl"), latent()
    windows = SlidingWindowInferer((6, 8, 8), overlap=0.6667, mode="gaussian")
    with torch.no_grad():
        whole, blended = network.decode(z), windows(z, network.decode)
    assert (blended - whole).square().mean().sqrt() > 0.1 * whole.std()


def test_half_precision_is_maisis():
    """Its normalisation changes to half precision, and its convolutions are cast by autocast."""
    torch.manual_seed(0)
    network, z = AutoencoderKlMaisi(**MAISI | {"norm_float16": True}).eval(), latent()[:1, :, :8, :4, :4]
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        whole, parts = network.decode(z), decode_partwise(network, z, 4)
    torch.testing.assert_close(parts.float(), whole.float(), rtol=0, atol=0.01 * whole.float().std().item())


def most_allocated(decode):
    """Bytes that torch's allocator has given out at most, beyond what there was before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found, torch.no_grad():
        decode()
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize(("channels", "held"), [((8, 8), 2), ((8, 16), 2.6)])
def test_less_than_half_is_held(channels, held):
    """Counted in activations of the last level: the result of a block, what is doubled, and slabs of the rest."""
    network = AutoencoderKL(**KL | {"channels": channels}).eval()
    z = torch.randn(2, 2, 32, 8, 8)
    activation = 2 * 4 * channels[0] * 64 * 16 * 16
    parts = most_allocated(lambda: decode_partwise(network, z, 4)) / activation
    assert 1 < parts < held
    assert most_allocated(lambda: network.decode(z)) / activation > 2.5 * parts
