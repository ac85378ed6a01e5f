"""ControlNet and concatenation: what is given in the beginning, and who learns."""

import math

import pytest
import torch
from monai.networks.nets import ControlNet
from monai.networks.schedulers import RFlowScheduler

from tools.engines.draws import Draws
from tools.losses.diffusion import DiffusionObjective
from tools.networks.control import ConcatenatedUNet, ControlledUNet, begun_from, label_guided
from tools.networks.denoisers import PatchUNetMaisi

LEVELS = {"num_res_blocks": 1, "attention_levels": [False, False], "norm_num_groups": 8, "num_head_channels": 16}


def denoiser(channels=1, spacing=False):
    network = PatchUNetMaisi(3, channels, 1, patch=2, num_channels=[16, 32], include_spacing_input=spacing, **LEVELS)
    for parameter in network.parameters():
        if not parameter.any():  # layers that begin at zero, behind which nothing would be seen
            parameter.data.normal_(std=0.1)
    return network


def controlnet(classes=3):
    return ControlNet(
        3,
        8,
        channels=[16, 32],
        conditioning_embedding_in_channels=classes,
        conditioning_embedding_num_channels=[16, 32],
        include_fc=False,
        **LEVELS,
    )


def inputs():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (1, 3, 8, 8, 8), generator=generator) * 2.0 - 1
    return torch.randn(1, 1, 8, 8, 8, generator=generator), torch.tensor([300.0]), labels


def test_a_controlnet_begins_without_a_say():
    x, time, labels = inputs()
    alone = denoiser()
    assert torch.equal(ControlledUNet(alone, controlnet())(x, time, labels), alone(x, time))


def test_it_learns_while_the_denoiser_stays_and_then_labels_matter():
    x, time, labels = inputs()
    network = ControlledUNet(denoiser(spacing=True), controlnet())
    network.denoiser.requires_grad_(False)
    before = {name: value.clone() for name, value in network.denoiser.state_dict().items()}
    told = {"spacing_tensor": torch.ones(1, 3)}
    optimizer = torch.optim.Adam(network.control.parameters(), 1e-2)
    losses = []
    for _ in range(4):
        loss = (network(x, time, labels, **told) - labels[:, :1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(torch.equal(value, before[name]) for name, value in network.denoiser.state_dict().items())
    with torch.no_grad():
        assert not torch.allclose(network(x, time, labels, **told), network(x, time, -labels, **told), atol=1e-4)


def test_it_begins_as_the_denoisers_encoder():
    network = begun_from(ControlledUNet(denoiser(), controlnet()))
    theirs, own = network.denoiser.state_dict(), network.control.state_dict()
    same = [name for name in own if name in theirs and own[name].shape == theirs[name].shape]
    assert {name.split(".")[0] for name in same} == {"conv_in", "time_embed", "down_blocks", "middle_block"}
    assert all(torch.equal(own[name], theirs[name]) for name in same)
    x, time, labels = inputs()
    assert torch.equal(network(x, time, labels), network.denoiser(x, time))


def test_concatenation_gives_the_denoiser_the_labels_as_channels():
    x, time, labels = inputs()
    network = label_guided(denoiser(channels=4))
    assert isinstance(network, ConcatenatedUNet)
    assert torch.equal(network(x, time, labels), network.denoiser(torch.cat([x, labels], 1), time))
    assert not torch.allclose(network(x, time, labels), network(x, time, -labels), atol=1e-4)


@pytest.mark.parametrize(("patch", "widths"), [(1, [16]), (2, [16, 32]), (4, [16, 32, 64])])
def test_a_label_map_is_brought_to_the_denoisers_patches(patch, widths):
    x, time, labels = inputs()
    control = ControlNet(
        3,
        patch**3,
        channels=[16, 32],
        conditioning_embedding_in_channels=3,
        conditioning_embedding_num_channels=widths,
        include_fc=False,
        **LEVELS,
    )
    alone = PatchUNetMaisi(3, 1, 1, patch=patch, num_channels=[16, 32], **LEVELS)
    assert ControlledUNet(alone, control)(x, time, labels).shape == x.shape


@pytest.mark.parametrize("concatenated", [False, True])
def test_a_preconditioned_one_is_judged_in_units_of_what_the_denoisers_guess_leaves(concatenated):
    """For data of deviation s the guess leaves s / sqrt((1 - t)^2 s^2 + t^2) of the velocity."""
    s, t = 0.2, 0.3
    x, _, labels = inputs()
    alone = PatchUNetMaisi(
        3, 4 if concatenated else 1, 1, patch=2, preconditioned=True, num_channels=[16, 32], **LEVELS
    )
    alone.preconditioning.deviation.fill_(s)
    network = label_guided(alone, None if concatenated else controlnet())
    objective = DiffusionObjective(network, RFlowScheduler(1000), conditions={"labels": "labels"})
    drawn = objective.draw({"image": x, "labels": labels}, Draws(seed=0, iteration=0))
    drawn["time"] = torch.tensor([1000 * t])
    noisy = (1 - t) * drawn["sample"] + t * drawn["noise"]
    with torch.no_grad():
        error = network(noisy, drawn["time"], labels) - (drawn["sample"] - drawn["noise"])
        loss = objective.denoiser_loss(drawn)["image"].item()
    left = s / math.sqrt((1 - t) ** 2 * s**2 + t**2)
    assert loss == pytest.approx(error.square().mean().item() / left**2, rel=1e-4)
