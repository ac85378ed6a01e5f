"""The objective of autoencoders against its equations, one number at a time."""

import itertools
import math

import pytest
import torch
from ignite.engine import Events
from monai.networks.nets import VQVAE, AutoencoderKL, PatchDiscriminator

from tools.engines.draws import Draws
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms
from tools.losses.autoencoder import AutoencoderObjective
from tools.networks.latent_diffusion import LatentAutoencoder
from tools.transforms.channels import UNKNOWN, Channels

CHANNELS = Channels({"mr": 99.5}, {"anterior": 1, "posterior": 2})
SIZE = (8, 8, 8)


def kl_network(channels=3):
    return AutoencoderKL(
        3,
        channels,
        channels,
        num_res_blocks=1,
        channels=(4, 4),
        attention_levels=(False, False),
        latent_channels=2,
        norm_num_groups=2,
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
    )


def vq_network(channels=3):
    return VQVAE(
        3,
        channels,
        channels,
        channels=(4,),
        num_res_layers=1,
        num_res_channels=4,
        downsample_parameters=(2, 4, 1, 1),
        upsample_parameters=(2, 4, 1, 1, 0),
        num_embeddings=5,
        embedding_dim=2,
    )


def make_objective(network=kl_network, channels=CHANNELS, **options):
    torch.manual_seed(0)
    number = 1 if channels is None else channels.number
    judge = PatchDiscriminator(3, 4, number, num_layers_d=1, kernel_size=3, norm="INSTANCE")
    for module in judge.modules():
        if hasattr(module, "kernel_size"):
            torch.nn.init.normal_(module.weight, std=0.3)  # MONAI's are small
    return AutoencoderObjective(LatentAutoencoder(network(number), 1), judge, channels, **options)


def labelled(rows=2):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(rows, 1, *SIZE, generator=generator) * 2 - 1
    return {"image": image, "label": torch.randint(0, 3, (rows, 1, *SIZE), generator=generator).to(torch.uint8)}


def mean(values):
    values = [*values]
    return sum(values) / len(values)


def distance(a, b):
    return mean(abs(x - y) for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))


def labels_entropy(logits, batch):
    """Mean over rows of -log of the probability of what is so, for what is known, of the classes one by one."""
    of_rows = []
    for row in range(len(logits)):
        found = []
        for number, *place in itertools.product(range(2), *(range(n) for n in SIZE)):
            index = batch["label"][(row, 0, *place)].item()
            if index == UNKNOWN or ("known" in batch and not batch["known"][row, number]):
                continue
            p = 1 / (1 + math.exp(-logits[(row, number, *place)].item()))
            found.append(-math.log(p if index == number + 1 else 1 - p))
        of_rows.append(mean(found))
    return mean(of_rows)


@torch.no_grad()
@pytest.mark.parametrize("partly_known", [False, True])
def test_the_autoencoders_loss_with_kl(partly_known):
    batch = labelled()
    if partly_known:
        batch["label"][0, 0, 1, 2:] = UNKNOWN
        batch["known"] = torch.tensor([[True, True], [True, False]])
    objective = make_objective(kl_weight=0.01, label_weight=0.5, adversarial_weight=0.2, feature_weight=3.0)
    network, judge = objective.autoencoder.network, objective.discriminator
    x = CHANNELS.join(batch["image"], batch["label"], batch.get("known"))
    m, s = network.encode(x)
    drawn = objective.draw(batch, Draws(0, 0))
    outputs = network.decode(m + s * drawn["noise"])
    y = outputs.clone()
    y[:, 1:] = 2 / (1 + torch.exp(-outputs[:, 1:])) - 1
    of_x, of_y = judge(x), judge(y)
    pairs = zip(m.flatten().tolist(), s.flatten().tolist(), strict=True)
    expected = {
        "image": distance(x[:, :1], y[:, :1]),
        "label": 0.5 * labels_entropy(outputs[:, 1:], batch),
        "kl": 0.01 * mean(0.5 * (a**2 + b**2 - math.log(b**2) - 1) for a, b in pairs),
        "adversarial": 0.2 * mean((v - 1) ** 2 for v in of_y[-1].flatten().tolist()),
        "features": 3 * sum(distance(a, b) for a, b in zip(of_x[:-1], of_y[:-1], strict=True)),
    }
    found = {name: term.item() for name, term in objective.autoencoder_loss(drawn).items()}
    assert found == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_the_commitment_of_vq():
    """0.25 |z - e|^2 with the nearest e of the codebook, and what is decoded is e."""
    objective = make_objective(vq_network, start=1)
    objective.autoencoder.eval()
    network = objective.autoencoder.network
    drawn = objective.draw(labelled(), Draws(0, 0))
    z = network.encoder(drawn["sample"])
    book = network.quantizer.quantizer.embedding.weight.tolist()
    nearest, errors = torch.empty_like(z), []
    for row, *place in itertools.product(range(2), range(4), range(4), range(4)):
        value = z[(row, slice(None), *place)].tolist()
        entry = min(book, key=lambda e: sum((a - b) ** 2 for a, b in zip(e, value, strict=True)))
        nearest[(row, slice(None), *place)] = torch.tensor(entry)
        errors += [(a - b) ** 2 for a, b in zip(entry, value, strict=True)]
    terms = objective.autoencoder_loss(drawn)
    assert terms["commitment"].item() == pytest.approx(0.25 * mean(errors), rel=1e-4)
    expected = distance(network.decoder(nearest)[:, :1], drawn["sample"][:, :1])
    assert terms["image"].item() == pytest.approx(expected, rel=1e-4)
    assert terms.keys() == {"image", "label", "commitment"}


@torch.no_grad()
def test_the_discriminators_loss_takes_what_the_autoencoder_made():
    objective = make_objective()
    drawn, again = (objective.draw(labelled(), Draws(0, 0)) for _ in range(2))
    x = drawn["sample"]
    y = objective.autoencoder.sample(objective.autoencoder.outputs(objective.latent(drawn)[0]))
    expected = {
        "real": mean((v - 1) ** 2 for v in objective.discriminator(x)[-1].flatten().tolist()) / 2,
        "fake": mean(v**2 for v in objective.discriminator(y)[-1].flatten().tolist()) / 2,
    }
    alone = {name: term.item() for name, term in all_terms(objective.discriminator_loss(again)).items()}
    assert alone == pytest.approx(expected, rel=1e-4)
    objective.autoencoder_loss(drawn)
    for p in objective.autoencoder.parameters():  # the step in between must not matter
        p.add_(0.1)
    found = {name: term.item() for name, term in all_terms(objective.discriminator_loss(drawn)).items()}
    assert found == pytest.approx(expected, rel=1e-4)


def test_images_alone_and_a_frozen_network():
    seen = []

    def perceptual(y, x):
        seen.append((y.shape, x.shape))
        return (y - x).square().mean()

    objective = make_objective(channels=None, perceptual=perceptual, perceptual_weight=2.0, start=3)
    drawn = objective.draw({"image": labelled()["image"]}, Draws(0, 2))
    terms = objective.autoencoder_loss(drawn)
    assert terms.keys() == {"image", "kl", "perceptual"}
    assert seen == [((2, 1, *SIZE),) * 2]
    (y,) = drawn["handover"].take(list)
    assert terms["perceptual"].item() == pytest.approx(2 * (y - drawn["sample"]).square().mean().item(), rel=1e-5)
    later = objective.draw({"image": labelled()["image"]}, Draws(0, 3))
    assert {"adversarial", "features"} < objective.autoencoder_loss(later).keys()


@pytest.mark.parametrize("network", [kl_network, vq_network])
def test_gradients_reach_all_networks_and_the_codebook_moves(network):
    """In the trainer, whose discriminator begins in the second of three iterations."""
    objective = make_objective(network, start=1)
    networks = {"autoencoder": objective.autoencoder, "discriminator": objective.discriminator}
    before = {
        f"{name}.{key}": value.clone() for name, one in networks.items() for key, value in one.state_dict().items()
    }
    updates = [
        Update(
            name, {name: one}, torch.optim.SGD(one.parameters(), lr=0.1), getattr(objective, f"{name}_loss"), start=s
        )
        for s, (name, one) in enumerate(networks.items())
    ]
    trainer = AlternatingTrainer("cpu", 1, [labelled()] * 3, updates, objective.draw)
    found = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: found.append({*engine.state.output[0]["loss"]})
    )
    trainer.run()
    assert ["discriminator" in names for names in found] == [False, True, True]
    assert ["autoencoder/features" in names for names in found] == [False, True, True]
    after = {f"{name}.{key}": value for name, one in networks.items() for key, value in one.state_dict().items()}
    still = {key for key, value in after.items() if torch.equal(value, before[key])}
    assert still == {"autoencoder.scale"}


def test_the_rows_of_a_batch_weigh_alike_one_by_one():
    """The condition for accumulation, where rows differ in what is known."""
    batch = labelled() | {"known": torch.tensor([[True, True], [True, False]])}
    objective = make_objective()
    drawn = objective.draw(batch, Draws(0, 0))
    parts = [
        objective.autoencoder_loss({k: v[r : r + 1] if isinstance(v, torch.Tensor) else v for k, v in drawn.items()}
                                   | {"handover": drawn["handover"].part(r, r + 1)})
        for r in (0, 1)
    ]  # fmt: skip
    for name, term in objective.autoencoder_loss(drawn).items():
        assert term.item() == pytest.approx((parts[0][name].item() + parts[1][name].item()) / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kl_weight": -1}, "kl_weight is -1, expected 0 or more"),
        ({"start": -1}, "start is -1"),
        ({"channels": Channels({"mr": 99.5}, {"one": 1}, encoding=40)}, "encoding is 40, expected 'one_hot'"),
        ({"channels": Channels({"a": 99.5, "b": 99.5}, {"one": 1})}, "num_images 1, and the channels 2"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make_objective(**options)
