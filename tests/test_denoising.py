"""`python -m tools denoising`: errors against their formulas, and the command on trained bundles."""

import csv
import itertools
import json

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDPMScheduler, RFlowScheduler
from torch import nn

from tests.tiny import REPOSITORY, train_config
from tools.denoising import _shares, denoising, errors_of, table
from tools.engines.draws import Draws
from tools.losses.diffusion import DiffusionObjective
from tools.networks.denoisers import PatchUNet
from tools.transforms.channels import UNKNOWN, Channels

CHANNELS = Channels({"t1": 99.5}, {"anterior": 1, "posterior": 2})
SMALL = {
    "channels": [8],
    "num_res_blocks": 1,
    "attention_levels": [False],
    "norm_num_groups": 8,
    "num_head_channels": 8,
}


class Tenth(nn.Module):
    """A network that says a tenth of what it is shown."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, x, timesteps):
        return self.weight * x


def labelled():
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 3, (1, 1, 2, 4, 4), generator=generator).to(torch.uint8)
    label[0, 0, 0, 1:] = UNKNOWN
    return {"image": torch.rand(1, 1, 2, 4, 4, generator=generator) * 2 - 1, "label": label}


def test_errors_are_those_of_the_denoised_sample_where_labels_are_known():
    """Of a flow x_t = (1 - t) x + t n, denoised it is x_t + t v; one number at a time."""
    batch = labelled()
    objective = DiffusionObjective(Tenth(), RFlowScheduler(1000), CHANNELS)
    found = list(errors_of(objective, batch, (0.25, 0.5), Draws(3, 1)))
    assert [(one["time"], one["part"], one["guess"]) for one in found] == [
        (t, part, None) for t in (0.25, 0.5) for part in ("image", "label")
    ]
    drawn = objective.draw(batch, Draws(3, 1))
    for one in found:
        t, errors = one["time"], []
        for channel in (0,) if one["part"] == "image" else (1, 2):
            for place in itertools.product(range(2), range(4), range(4)):
                index = batch["label"][0, 0][place]
                if channel and index == UNKNOWN:
                    continue
                x = batch["image"][0, 0][place].item() if channel == 0 else (1.0 if index == channel else -1.0)
                noisy = (1 - t) * x + t * drawn["noise"][0, channel][place].item()
                errors.append((noisy + t * 0.1 * noisy - x) ** 2)
        assert one["network"] == pytest.approx(sum(errors) / len(errors), rel=1e-4)


def test_a_network_that_adds_nothing_is_its_guess_and_a_label_that_nobody_knows_has_no_error():
    network = PatchUNet(3, 3, 3, preconditioned=True, **SMALL)
    for parameter in network.out.parameters():
        nn.init.zeros_(parameter)
    network.preconditioning.deviation.copy_(torch.tensor((0.4, 0.1, 0.7)))
    objective = DiffusionObjective(network, RFlowScheduler(1000), CHANNELS)
    batch = labelled()
    batch["label"].fill_(UNKNOWN)
    image, label = errors_of(objective, batch, (0.5,), Draws(0, 0))
    assert image["network"] == image["guess"] > 0
    assert label["network"] is label["guess"] is None


def test_images_without_labels_have_one_part():
    objective = DiffusionObjective(Tenth(), DDPMScheduler(10))
    (one,) = errors_of(objective, {"image": labelled()["image"]}, (0.5,), Draws(0, 0))
    assert one["part"] == "image"


def test_the_table_has_means_by_time_and_no_row_for_a_guess_that_is_none():
    rows = [
        {"images": "held-out", "part": "image", "time": time, "network": 10 * time + number, "guess": None}
        for number in (0, 1)
        for time in (0.1, 0.5)
    ]
    head, only = table(rows)
    assert head.split() == ["time", "0.1", "0.5"]
    assert only.split() == ["2", "held-out,", "image,", "network", "1.5000", "5.5000"]


@pytest.mark.parametrize("times", ["", "0.2,1", "0", "a", 1.5])
def test_times_that_are_none_are_refused(times):
    with pytest.raises(ValueError, match="expected shares of the way to noise in"):
        _shares(times)


def test_one_time_may_be_a_number():
    assert _shares(0.5) == [0.5]


def test_trained_denoisers_are_measured_and_others_refused(bundle, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (data,) = trained.glob("phantoms*")
    asked = {"dataset_dir": str(data), "trained": str(trained), "device": "cpu", "times": "0.5"}
    if "scheduler" not in train_config(bundle):
        with pytest.raises(ValueError, match=f"{bundle} denoises nothing"):
            denoising(bundle, **asked)
        return
    denoising(bundle, **asked, output=str(tmp_path / "errors.csv"))
    assert "network" in capsys.readouterr().out
    with open(tmp_path / "errors.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    denoising(bundle, **asked, count=1)
    assert "1 training" in capsys.readouterr().out
    stated = json.loads((trained / "models/model.json").read_text())["data"]["subjects"]
    assert len({row["patient"] for row in rows if row["images"] == "training"}) == len(stated)
    assert {row["images"] for row in rows} == {"training", "held-out"}
    errors = np.array([float(row["network"]) for row in rows if row["network"]])
    assert np.isfinite(errors).all()
    assert (errors > 0).all()


def test_what_the_training_does_not_have_is_refused(bundle, trained, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(ValueError, match=f"overrides: {bundle} has no 'no_such_thing' in its train.json"):
        denoising(bundle, trained=str(trained), overrides={"no_such_thing": 1})
    with pytest.raises(FileNotFoundError, match="no weights at"):
        denoising(bundle, weights="no_such_file.pt")
    with pytest.raises(ValueError, match="count is 0, expected 1 image or more"):
        denoising(bundle, count=0)
