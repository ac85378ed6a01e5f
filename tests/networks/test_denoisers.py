"""MONAI's U-Nets on patches: MONAI's own with 1, and no voxel lost with more."""

import pytest
import torch
from monai.apps.generation.maisi.networks.diffusion_model_unet_maisi import DiffusionModelUNetMaisi
from monai.networks.nets import DiffusionModelUNet

from tools.networks.denoisers import FusedUpsample, PatchUNet, PatchUNetMaisi

SMALL = {"num_res_blocks": 1, "attention_levels": [False, False], "norm_num_groups": 8, "num_head_channels": 16}


def test_with_patches_of_one_it_is_monais():
    torch.manual_seed(0)
    own = PatchUNet(3, 2, 2, channels=[8, 16], **SMALL)
    torch.manual_seed(0)
    monais = DiffusionModelUNet(3, 2, 2, channels=[8, 16], **SMALL)
    assert [*own.state_dict()] == [*monais.state_dict()]
    monais.out[2].conv.weight.data.normal_()
    own.load_state_dict(monais.state_dict())
    x, time = torch.randn(1, 2, 8, 8, 8), torch.tensor([3.0])
    assert torch.equal(own(x, time), monais(x, time))


def test_doubling_and_convolving_at_once_is_what_monai_does_in_two_steps():
    """Values and gradients, at a size from which it is one operation; attention and none behind it."""
    options = {**SMALL, "num_res_blocks": 1, "channels": [8, 16], "attention_levels": [False, True]}
    own, monais = PatchUNet(3, 1, 1, **options).double(), DiffusionModelUNet(3, 1, 1, **options).double()
    monais.out[2].conv.weight.data.normal_()
    own.load_state_dict(monais.state_dict())
    assert sum(isinstance(module, FusedUpsample) for module in own.modules()) == 1
    x, time = torch.randn(1, 1, 16, 16, 18, dtype=torch.float64), torch.tensor([3.0])
    name = "up_blocks.0.upsampler.postconv.conv.weight"
    of = {}
    for network in (own, monais):
        of[network] = answer = network(x, time)
        answer.square().mean().backward()
    torch.testing.assert_close(of[own], of[monais], rtol=1e-9, atol=1e-12)
    gradients = (dict(network.named_parameters())[name].grad for network in (own, monais))
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_patch_is_one_place_whose_channels_are_its_voxels(axes):
    """With a first and a last layer that copy, and nothing between, voxels come back where they were."""
    network = PatchUNet(axes, 1, 1, patch=2, channels=[8, 16], **SMALL)
    assert (network.in_channels, network.out_channels) == (2**axes, 2**axes)
    seen = []
    network.conv_in.register_forward_hook(lambda _, given, made: seen.append(given[0]))
    x = torch.arange(float(8**axes)).view(1, 1, *[8] * axes)
    with torch.no_grad():
        answer = network(x, torch.tensor([3.0]))
    assert answer.shape == x.shape
    (patches,) = seen
    assert patches.shape == (1, 2**axes, *[4] * axes)
    place = (1, 2, 3)[:axes]
    block = x[(0, 0, *(slice(2 * i, 2 * i + 2) for i in place))]
    assert sorted(patches[(0, slice(None), *place)].tolist()) == block.flatten().tolist()


def test_what_a_place_answers_stands_in_its_patch():
    network = PatchUNet(3, 1, 1, patch=2, channels=[8, 16], **SMALL)
    network.out[2].conv.bias.data = torch.arange(8.0)  # the last layer's weights begin at zero
    with torch.no_grad():
        answer = network(torch.randn(1, 1, 8, 8, 8), torch.tensor([3.0]))
    assert torch.equal(answer[0, 0, :2, :2, :2], torch.arange(8.0).view(2, 2, 2))
    assert torch.equal(answer[0, 0, 4:6, 2:4, 6:8], torch.arange(8.0).view(2, 2, 2))


def test_maisis_network_is_counted_as_published_and_takes_what_it_is_told():
    """Counts: MAISI's U-Net of rectified flow, from its published config."""
    with torch.device("meta"):
        published = PatchUNetMaisi(
            3,
            4,
            4,
            num_channels=[64, 128, 256, 512],
            attention_levels=[False, False, True, True],
            num_head_channels=[0, 0, 32, 32],
            num_res_blocks=2,
            include_spacing_input=True,
            num_class_embeds=128,
            resblock_updown=True,
            include_fc=True,
        )
    assert sum(parameter.numel() for parameter in published.parameters()) == 180_500_868
    assert isinstance(published, DiffusionModelUNetMaisi)
    network = PatchUNetMaisi(3, 1, 1, patch=2, num_channels=[8, 16], include_spacing_input=True, **SMALL)
    for parameter in network.parameters():
        if not parameter.any():  # layers that begin at zero, behind which nothing would be seen
            parameter.data.normal_(std=0.1)
    x, time = torch.randn(1, 1, 8, 8, 8), torch.tensor([3.0])
    coarse, fine = (network(x, time, spacing_tensor=torch.full((1, 3), mm)) for mm in (5.0, 1.0))
    assert not torch.allclose(coarse, fine)


def test_a_network_reads_as_many_numbers_of_a_place_as_it_has():
    """One of the slices' place alone, and one of all three axes', are called with the same numbers."""
    x, time, spacing = torch.randn(1, 1, 8, 8, 8), torch.tensor([3.0]), torch.ones(1, 3)
    ends = {"include_top_region_index_input": True, "include_bottom_region_index_input": True}
    for numbers in (4, 12):
        network = PatchUNetMaisi(
            3, 1, 1, 2, num_channels=[8, 16], include_spacing_input=True, region_numbers=numbers, **ends, **SMALL
        )
        for parameter in network.parameters():
            if not parameter.any():
                parameter.data.normal_(std=0.1)
        top, bottom = (torch.rand(1, 12, requires_grad=True) for _ in range(2))
        told = {"top_region_index_tensor": top, "bottom_region_index_tensor": bottom, "spacing_tensor": spacing}
        network(x, time, **told).square().sum().backward()
        for place in (top, bottom):
            assert (place.grad[0, :numbers] != 0).all()
            assert (place.grad[0, numbers:] == 0).all()


@pytest.mark.parametrize("patch", [0, 1.5, True])
def test_patches_that_are_none(patch):
    with pytest.raises(ValueError, match="expected a whole number of voxels a side, 1 for none"):
        PatchUNet(3, 1, 1, patch=patch)
