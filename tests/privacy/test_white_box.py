"""What networks know of their training: scores of trained bundles, and of networks that have learnt by heart."""

import json

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDPMScheduler, RFlowScheduler
from torch import nn

from tests.tiny import REPOSITORY, train_config
from tools.losses.diffusion import DiffusionObjective
from tools.losses.stylegan2 import StyleGAN2Objective
from tools.metrics.membership import membership
from tools.privacy.white_box import DENOISING, DISCRIMINATOR, _asked, white_box
from tools.transforms.channels import Channels


class Memory(nn.Module):
    """The denoiser of a set learnt by heart: every noisy image comes from the nearest training image."""

    def __init__(self, scheduler, images):
        super().__init__()
        self.scheduler, self.images = scheduler, nn.Parameter(images)

    def forward(self, x, timesteps):
        t = (timesteps / self.scheduler.num_train_timesteps).view(-1, 1, 1, 1)
        away = (x[:, None] - (1 - t)[:, None] * self.images[None]).flatten(2).square().sum(2)
        image = self.images[away.argmin(1)]
        return (image - x) / t  # x - n where x_t = (1 - t) x + t n


def pictures(seed, count=24):
    return 0.3 * torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))


def scores(objective, images):
    return np.array([np.mean(_asked(objective, {"image": image[None]})) for image in images])


def test_a_denoiser_that_knows_its_images_by_heart_is_found_and_one_that_knows_none_is_not():
    scheduler, training, held_out = RFlowScheduler(), pictures(0), pictures(1)
    with torch.no_grad():
        for known, low, high in ((training, 0.99, 1.0), (pictures(2), 0.3, 0.7)):
            objective = DiffusionObjective(Memory(scheduler, known), scheduler)
            found = membership(scores(objective, training), scores(objective, held_out))
            assert low <= found.auc.value <= high
            assert (found.auc.low < 0.5 < found.auc.high) == (high < 1)


def test_errors_are_means_of_squares_as_far_as_labels_are_known():
    channels = Channels({"t1": 99.5}, {"a": 1, "b": 2})

    class Nothing(nn.Module):
        def forward(self, x, timesteps):
            return torch.zeros_like(x)

    objective = DiffusionObjective(Nothing(), DDPMScheduler(1000), channels)
    noise = torch.randn(2, channels.number, 4, 4, generator=torch.Generator().manual_seed(0))
    counted = torch.zeros(2, channels.labels and channels.number - 1, 4, 4, dtype=torch.bool)
    counted[0, 0] = True
    batch = {"sample": noise, "noise": noise, "time": torch.tensor([5, 5]), "class": None, "counted": counted}
    found = objective.errors(batch)
    first = (noise[0, 0].square().sum() + noise[0, 1].square().sum()) / 32
    torch.testing.assert_close(found, torch.stack([first, noise[1, 0].square().mean()]))
    assert objective.errors(batch | {"counted": None})[0] == pytest.approx(noise[0].square().mean().item())


def test_a_discriminator_that_knows_its_images_is_found():
    training, held_out = pictures(0), pictures(1)

    class Knows(nn.Module):
        def forward(self, x):
            return -(x[:, None] - training[None]).flatten(2).square().sum(2).min(1, keepdim=True).values

    objective = StyleGAN2Objective(nn.Identity(), Knows())
    found = membership(scores(objective, training), scores(objective, held_out))
    assert found.auc.value == found.caught.value == 1
    assert scores(objective, training[:3]) == pytest.approx(np.zeros(3), abs=1e-6)


def test_the_networks_of_trained_bundles_are_asked(bundle, trained, monkeypatch):
    """Of the weights that hold one, about the patients that the weights state; each once, with the same numbers."""
    monkeypatch.chdir(REPOSITORY)
    for name, value in {"TIMES": (0.5,), "NOISES": 1, "PER_PATIENT": 2}.items():
        monkeypatch.setattr(f"tools.privacy.white_box.{name}", value)
    config = train_config(bundle)
    is_gan = "discriminator" in config["models"] and "growth" not in config
    if not is_gan and "scheduler" not in config:
        with pytest.raises(ValueError, match="there is no test with its weights"):
            white_box(bundle, trained=str(trained), device="cpu")
        return
    (data,) = trained.glob("phantoms*")
    found = white_box(bundle, str(data), str(trained), "cpu")
    assert found.kind == (DISCRIMINATOR if is_gan else DENOISING)
    stated = json.loads((trained / "models/model.json").read_text())["data"]["subjects"]
    assert len(found.members) == len(stated)
    assert len(found.others) >= 1
    scores = np.concatenate([found.members, found.others])
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) == len(scores)
    if is_gan:
        again = white_box(bundle, str(data), str(trained), "cpu")
        assert again.members.tolist() == found.members.tolist()
