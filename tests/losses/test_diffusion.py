"""The objective of diffusion and rectified flow against its equations, one number at a time."""

import itertools
import math

import pytest
import torch
from monai.networks.nets import DiffusionModelUNet
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, PNDMScheduler, RFlowScheduler
from torch import nn

from tools.engines.draws import Draws
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update
from tools.losses.diffusion import DiffusionObjective, prediction_of
from tools.networks.denoisers import PatchUNet
from tools.transforms.channels import UNKNOWN, Channels

STEPS, START, END = 50, 0.0015, 0.0195
SCHEDULE = {
    "num_train_timesteps": STEPS,
    "schedule": "scaled_linear_beta",
    "beta_start": START,
    "beta_end": END,
}
SCHEDULERS = {
    "epsilon": lambda: DDPMScheduler(**SCHEDULE),
    "v": lambda: DDIMScheduler(prediction_type="v_prediction", **SCHEDULE),
    "flow": lambda: RFlowScheduler(STEPS),
}
CHANNELS = Channels({"t1": 99.5}, {"anterior": 1, "posterior": 2})


class Denoiser(nn.Module):
    """A network whose answer can be written down: weight * x_t + t / 100 + class."""

    def __init__(self, num_class_embeds=None):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))
        self.num_class_embeds = num_class_embeds

    def forward(self, x, timesteps, class_labels=None):
        shift = timesteps / 100 if class_labels is None else timesteps / 100 + class_labels
        return self.weight * x + shift.view(-1, *[1] * (x.ndim - 1))


def labelled(rows=2, shape=(2, 4, 4)):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(rows, 1, *shape, generator=generator) * 2 - 1
    return {"image": image, "label": torch.randint(0, 3, (rows, 1, *shape), generator=generator).to(torch.uint8)}


def signal_shares(t):
    """sqrt(abar_t) and sqrt(1 - abar_t), abar_t = product of 1 - beta_s for s = 0 .. t."""
    product = 1.0
    for s in range(t + 1):
        root = math.sqrt(START) + (math.sqrt(END) - math.sqrt(START)) * s / (STEPS - 1)
        product *= 1 - root**2
    return math.sqrt(product), math.sqrt(1 - product)


def noisy_and_target(prediction, x, n, t):
    """The table in the docstring of ``DiffusionObjective``, for one number."""
    if prediction == "flow":
        return (1 - t / STEPS) * x + t / STEPS * n, x - n
    signal, noise = signal_shares(t)
    return signal * x + noise * n, n if prediction == "epsilon" else signal * n - noise * x


def known_number(batch, row, channel, place):
    """Whether what a channel of labels should be is known, by the batch that was given."""
    return batch["label"][row, 0][place] != UNKNOWN and ("known" not in batch or batch["known"][row, channel - 1])


@pytest.mark.parametrize("partly_known", [False, True])
@pytest.mark.parametrize("prediction", SCHEDULERS)
def test_the_loss_is_its_equation(prediction, partly_known):
    batch = labelled()
    if partly_known:
        batch["label"][0, 0, 1, 2:] = UNKNOWN
        batch["known"] = torch.tensor([[True, True], [True, False]])
    objective = DiffusionObjective(Denoiser(), SCHEDULERS[prediction](), CHANNELS, label_weight=0.5)
    assert objective.prediction == prediction
    drawn = objective.draw(batch, Draws(seed=0, iteration=3))
    image_errors, label_means = [], []
    for row in range(2):
        t, label_errors = drawn["time"][row].item(), []
        for channel, *place in itertools.product(range(3), range(2), range(4), range(4)):
            place = tuple(place)
            index = batch["label"][row, 0][place]
            x = batch["image"][row, 0][place].item() if channel == 0 else (1.0 if index == channel else -1.0)
            if channel > 0 and not known_number(batch, row, channel, place):
                continue
            noisy, target = noisy_and_target(prediction, x, drawn["noise"][row, channel][place].item(), t)
            error = (0.3 * noisy + t / 100 - target) ** 2
            (label_errors if channel else image_errors).append(error)
        label_means.append(sum(label_errors) / len(label_errors))
    terms = objective.denoiser_loss(drawn)
    assert terms["image"].item() == pytest.approx(sum(image_errors) / len(image_errors) / 3, rel=1e-4)
    assert terms["label"].item() == pytest.approx(0.5 * sum(label_means) / len(label_means) * 2 / 3, rel=1e-4)


def test_what_a_preconditioned_network_lacks_is_judged_in_units_of_what_its_guess_leaves():
    """For data of deviation s the guess leaves s / sqrt((1 - t)^2 s^2 + t^2) of the velocity."""
    s, times = (0.4, 0.1, 0.7), (0.2, 0.9)
    small = {"num_res_blocks": 1, "attention_levels": [False], "norm_num_groups": 8, "num_head_channels": 8}
    network = PatchUNet(3, 3, 3, channels=[8], preconditioned=True, **small)
    network.preconditioning.deviation.copy_(torch.tensor(s))
    objective = DiffusionObjective(network, RFlowScheduler(1000), CHANNELS)
    batch = objective.draw(labelled(), Draws(seed=0, iteration=0)) | {"time": 1000 * torch.tensor(times)}
    with torch.no_grad():
        answer = objective.predict(batch)
        terms = objective.denoiser_loss(batch)
        errors = objective.errors(batch)
    squares = torch.empty_like(answer)
    for row, channel in itertools.product(range(2), range(3)):
        t = times[row]
        left = s[channel] / math.sqrt((1 - t) ** 2 * s[channel] ** 2 + t**2)
        velocity = batch["sample"][row, channel] - batch["noise"][row, channel]
        squares[row, channel] = ((answer[row, channel] - velocity) / left) ** 2
    assert terms["image"].item() == pytest.approx(squares[:, :1].mean().item() / 3, rel=1e-4)
    assert terms["label"].item() == pytest.approx(squares[:, 1:].mean().item() * 2 / 3, rel=1e-4)
    assert errors.tolist() == pytest.approx(squares.mean((1, 2, 3, 4)).tolist(), rel=1e-4)


@pytest.mark.parametrize("prediction", SCHEDULERS)
def test_what_a_network_should_say_denoises_a_sample_exactly(prediction):
    objective = DiffusionObjective(Denoiser(), SCHEDULERS[prediction](), CHANNELS)
    drawn = objective.draw(labelled(), Draws(seed=0, iteration=2)) | {"time": torch.tensor([5, 40])}
    torch.testing.assert_close(objective.denoised(drawn, objective.target(drawn)), drawn["sample"], atol=1e-5, rtol=0)
    assert objective.guess(drawn) is None


def test_images_alone_are_the_mean_over_all_numbers():
    batch = {"image": labelled()["image"]}
    objective = DiffusionObjective(Denoiser(), SCHEDULERS["epsilon"]())
    drawn = objective.draw(batch, Draws(seed=0, iteration=0))
    errors = []
    for row in range(2):
        t = drawn["time"][row].item()
        for x, n in zip(batch["image"][row].flatten().tolist(), drawn["noise"][row].flatten().tolist(), strict=True):
            noisy, target = noisy_and_target("epsilon", x, n, t)
            errors.append((0.3 * noisy + t / 100 - target) ** 2)
    assert objective.denoiser_loss(drawn)["image"].item() == pytest.approx(sum(errors) / len(errors), rel=1e-4)


@pytest.mark.parametrize("prediction", SCHEDULERS)
def test_times_are_whole_and_all_alike(prediction):
    objective = DiffusionObjective(Denoiser(), SCHEDULERS[prediction]())
    times = objective.times(Draws(seed=0, iteration=0), torch.zeros(20 * STEPS, 1, 1, 1))
    counts = torch.bincount(times, minlength=STEPS)
    assert counts.shape == (STEPS,)
    # chi-squared with 49 degrees of freedom is below 85.4 in 999 of 1000 cases
    assert ((counts - 20) ** 2 / 20).sum() < 85.4


def test_times_of_a_flow_are_as_its_scheduler_is_set():
    sample = torch.zeros(4000, 1, 4, 4, 4)
    logit_normal = RFlowScheduler(1000, use_discrete_timesteps=False, sample_method="logit-normal", loc=0.4, scale=1.4)
    times = DiffusionObjective(Denoiser(), logit_normal).times(Draws(seed=0, iteration=0), sample)
    logits = torch.logit(times.double() / 1000)
    assert (logits.mean().item(), logits.std().item()) == (pytest.approx(0.4, abs=0.08), pytest.approx(1.4, abs=0.06))

    plain = RFlowScheduler(1000, use_discrete_timesteps=False)
    moved = RFlowScheduler(1000, use_discrete_timesteps=False, use_timestep_transform=True, base_img_size_numel=8)
    before, after = (
        DiffusionObjective(Denoiser(), one).times(Draws(seed=0, iteration=0), sample[:50]) for one in (plain, moved)
    )
    for t, other in zip(before.tolist(), after.tolist(), strict=True):
        ratio, s = (64 / 8) ** (1 / 3), t / 1000
        assert other == pytest.approx(1000 * ratio * s / (1 + (ratio - 1) * s), rel=1e-5)


def test_draws_depend_on_row_and_iteration_alone():
    objective = DiffusionObjective(Denoiser(3), SCHEDULERS["flow"](), CHANNELS, num_classes=2)
    batch = labelled(4) | {"class": torch.tensor([0, 1, 0, 1])}
    whole = objective.draw(batch, Draws(seed=0, iteration=3))
    second = objective.draw({key: value[1::2] for key, value in batch.items()}, Draws(0, 3, rank=1, world_size=2))
    for key in ("sample", "noise", "time", "class", "counted"):
        assert torch.equal(whole[key][1::2], second[key]), key
    later = objective.draw(batch, Draws(seed=0, iteration=4))
    assert not torch.equal(later["noise"], whole["noise"])


def test_classes_are_withheld_as_often_as_asked():
    objective = DiffusionObjective(Denoiser(3), SCHEDULERS["flow"](), num_classes=2, drop_class=0.1)
    batch = {"image": torch.zeros(2000, 1, 1, 1), "class": torch.arange(2000) % 2}
    seen = objective.draw(batch, Draws(seed=0, iteration=0))["class"]
    withheld = seen == 2
    assert withheld.sum().item() == pytest.approx(200, abs=3 * math.sqrt(2000 * 0.1 * 0.9))
    assert torch.equal(seen[~withheld], batch["class"][~withheld])


def test_the_network_is_told_the_class():
    objective = DiffusionObjective(Denoiser(3), SCHEDULERS["epsilon"](), num_classes=2, drop_class=0)
    drawn = objective.draw(
        {"image": torch.zeros(2, 1, 1, 1), "class": torch.tensor([0, 1])}, Draws(seed=0, iteration=0)
    )
    without = 0.3 * objective.noisy(drawn).flatten() + drawn["time"] / 100
    assert (objective.predict(drawn).flatten() - without).tolist() == pytest.approx([0, 1], abs=1e-6)


@pytest.mark.parametrize("prediction", SCHEDULERS)
def test_gradients_reach_all_of_monais_network(prediction):
    torch.manual_seed(0)
    network = DiffusionModelUNet(
        spatial_dims=3,
        in_channels=3,
        out_channels=3,
        channels=(8, 16),
        attention_levels=(False, True),
        num_res_blocks=1,
        norm_num_groups=4,
        num_head_channels=8,
        num_class_embeds=3,
    )
    nn.init.normal_(network.out[-1].conv.weight, std=0.1)  # MONAI begins with zeros there, which stop gradients
    for module in network.modules():
        for last in ("conv2", "out_proj"):
            if hasattr(module, last):
                for parameter in getattr(module, last).parameters():
                    nn.init.normal_(parameter, std=0.1)
    objective = DiffusionObjective(network, SCHEDULERS[prediction](), CHANNELS, num_classes=2)
    batch = labelled(shape=(4, 4, 4)) | {"class": torch.tensor([0, 1])}
    sum(objective.denoiser_loss(objective.draw(batch, Draws(seed=0, iteration=0))).values()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_trainer_learns_the_best_weight():
    """Of numbers N(0, 1) the best prediction of x - n at t/T is (1 - 2 t/T) x_t / ((1 - t/T)^2 + (t/T)^2)."""

    class ByTime(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2))

        def forward(self, x, timesteps):
            return self.weight[timesteps].view(-1, 1, 1, 1) * x

    network = ByTime()
    objective = DiffusionObjective(network, RFlowScheduler(2))
    generator = torch.Generator().manual_seed(0)
    data = [{"image": torch.randn(64, 1, 4, 4, generator=generator)} for _ in range(60)]
    update = Update(
        "denoiser", {"denoiser": network}, torch.optim.SGD(network.parameters(), lr=0.3), objective.denoiser_loss
    )
    AlternatingTrainer("cpu", 1, data, [update], objective.draw).run()
    assert network.weight.tolist() == pytest.approx([1.0, 0.0], abs=0.1)


def test_the_rows_of_a_batch_weigh_alike_one_by_one():
    """The condition for ``one_by_one`` and for accumulation, where rows differ in what is known."""
    batch = labelled() | {"known": torch.tensor([[True, True], [True, False]])}
    objective = DiffusionObjective(Denoiser(), SCHEDULERS["flow"](), CHANNELS)
    drawn = objective.draw(batch, Draws(seed=0, iteration=0))
    parts = [
        objective.denoiser_loss({k: v if v is None else v[row : row + 1] for k, v in drawn.items()}) for row in (0, 1)
    ]
    for name, term in objective.denoiser_loss(drawn).items():
        assert term.item() == pytest.approx((parts[0][name].item() + parts[1][name].item()) / 2, rel=1e-5)


def test_prediction_is_the_schedulers():
    assert prediction_of(PNDMScheduler()) == "epsilon"
    with pytest.raises(ValueError, match="prediction_type is 'sample', expected 'epsilon' or 'v_prediction'"):
        prediction_of(DDPMScheduler(prediction_type="sample"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": -1}, "num_classes is -1"),
        ({"drop_class": 1.5}, "drop_class is 1.5"),
        ({"label_weight": -1}, "label_weight is -1"),
        ({"num_classes": 3}, "num_class_embeds is None, expected 4 for num_classes 3"),
        ({"scheduler": RFlowScheduler(transform_scale=1.4)}, "transform_scale is 1.4, which MONAI keeps but never"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        DiffusionObjective(**{"network": Denoiser(), "scheduler": RFlowScheduler(), **options})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a batch has no 'class', expected a class index in"),
        ({"class": torch.tensor([0, 2])}, r"are \[0, 2\], expected"),
    ],
)
def test_bad_classes(given, message):
    objective = DiffusionObjective(Denoiser(3), RFlowScheduler(), num_classes=2)
    with pytest.raises(ValueError, match=message):
        objective.draw({"image": torch.zeros(2, 1, 2, 2)} | given, Draws(seed=0, iteration=0))


def test_labels_alone_are_a_sample_too():
    """A label model: without images the loss is that of the label channels, whose classes come back."""
    labels = Channels({}, {"anterior": 1, "posterior": 2})
    batch = {"label": labelled()["label"]}
    objective = DiffusionObjective(Denoiser(), SCHEDULERS["flow"](), labels)
    drawn = objective.draw(batch, Draws(seed=0, iteration=3))
    assert torch.equal(labels.split(drawn["sample"])[1], batch["label"])
    errors = []
    for row in range(2):
        t = drawn["time"][row].item()
        for x, n in zip(drawn["sample"][row].flatten().tolist(), drawn["noise"][row].flatten().tolist(), strict=True):
            noisy, target = noisy_and_target("flow", x, n, t)
            errors.append((0.3 * noisy + t / 100 - target) ** 2)
    terms = objective.denoiser_loss(drawn)
    assert [*terms] == ["label"]
    assert terms["label"].item() == pytest.approx(sum(errors) / len(errors), rel=1e-4)
