"""Each loss of CycleGAN against its formula, written with sums over pixels."""

import itertools

import pytest
import torch
from monai.networks.nets import PatchDiscriminator

from tools.engines.draws import Draws
from tools.engines.handover import Handover
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms
from tools.losses.cyclegan import CycleGANObjective
from tools.losses.mind import self_similarity
from tools.networks.cyclegan import TranslationGenerator

SIZE = 32


def patch_discriminator(in_channels=1):
    return PatchDiscriminator(2, channels=8, in_channels=in_channels, num_layers_d=2, norm="INSTANCE", bias=True)


def make_objective(modalities=1, **options):
    torch.manual_seed(0)
    return CycleGANObjective(
        TranslationGenerator(modalities, 1, channels=4, blocks=2, branch_blocks=1),
        TranslationGenerator(1, modalities, channels=4, blocks=2, branch_blocks=1),
        patch_discriminator(2 if options.get("second_window") else 1),
        [patch_discriminator() for _ in range(modalities)],
        **options,
    )


def make_batch(modalities=1, rows=2, size=SIZE):
    generator = torch.Generator().manual_seed(3)
    return {
        "mr": torch.rand(rows, modalities, size, size, generator=generator) * 2 - 1,
        "ct": torch.rand(rows, 1, size, size, generator=generator) * 2 - 1,
    }


def squares(logits, label):
    values = logits.flatten().tolist()
    return sum((v - label) ** 2 for v in values) / len(values)


def distance(a, b):
    pairs = list(zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
    return sum(abs(x - y) for x, y in pairs) / len(pairs)


@torch.no_grad()
@pytest.mark.parametrize("modalities", [1, 2])
def test_mind_loss_is_over_every_modality(modalities):
    objective = make_objective(modalities, mind_weight=5)
    drawn = objective.draw(make_batch(modalities), Draws(0, 0))
    mr, ct = drawn["mr"], drawn["ct"]
    fake_ct, fake_mr = objective.generator_mr2ct(mr), objective.generator_ct2mr(ct)
    of_mr = [self_similarity(mr[:, m : m + 1]) for m in range(modalities)]
    of_fake_mr = [self_similarity(fake_mr[:, m : m + 1]) for m in range(modalities)]
    expected = {
        "mind_ct": 5 * sum(distance(self_similarity(fake_ct), one) for one in of_mr) / modalities,
        "mind_mr": 5 * sum(distance(one, self_similarity(ct)) for one in of_fake_mr) / modalities,
    }
    found = objective.generators_loss(drawn)
    assert {name: found[name].item() for name in expected} == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_generators_loss(modalities):
    objective = make_objective(modalities)
    drawn = objective.draw(make_batch(modalities), Draws(0, 0))
    g, f, d_ct, d_mr = (
        objective.generator_mr2ct,
        objective.generator_ct2mr,
        objective.discriminator_ct,
        objective.discriminators_mr,
    )
    mr, ct = drawn["mr"], drawn["ct"]
    fake_ct, fake_mr = g(mr), f(ct)
    back_mr, back_ct = f(fake_ct), g(fake_mr)
    channels = range(modalities)
    expected = {
        "adversarial_ct": squares(d_ct(fake_ct)[-1], 1),
        "adversarial_mr": sum(squares(d_mr[m](fake_mr[:, m : m + 1])[-1], 1) for m in channels),
        "cycle_ct": 10 * distance(back_ct, ct),
        "cycle_mr": sum(10 * distance(back_mr[:, m], mr[:, m]) for m in channels),
    }
    if modalities == 1:
        expected |= {"identity_ct": 5 * distance(g(ct), ct), "identity_mr": 5 * distance(f(mr), mr)}
    found = {name: value.item() for name, value in objective.generators_loss(drawn).items()}
    assert found == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_discriminators_loss_takes_the_images_of_the_generators_update():
    objective = make_objective(2)
    drawn = objective.draw(make_batch(2), Draws(0, 0))
    fake_ct, fake_mr = objective.generator_mr2ct(drawn["mr"]), objective.generator_ct2mr(drawn["ct"])
    objective.generators_loss(drawn)
    for p in objective.generator_mr2ct.parameters():  # the step in between must not matter
        p.add_(0.1)
    expected = {
        "ct": (squares(objective.discriminator_ct(drawn["ct"])[-1], 1)
               + squares(objective.discriminator_ct(fake_ct)[-1], 0)) / 2
    }  # fmt: skip
    for m, judge in enumerate(objective.discriminators_mr):
        real, fake = drawn["mr"][:, m : m + 1], fake_mr[:, m : m + 1]
        expected[f"mr{m}"] = (squares(judge(real)[-1], 1) + squares(judge(fake)[-1], 0)) / 2
    found = {name: value.item() for name, value in all_terms(objective.discriminators_loss(drawn)).items()}
    assert found == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_discriminators_alone_get_images_made_anew():
    """As they do in iterations in which the generators are not updated."""
    objective = make_objective(2)
    drawn, again = (objective.draw(make_batch(2), Draws(0, 0)) for _ in range(2))
    objective.generators_loss(drawn)
    expected = {name: value.item() for name, value in all_terms(objective.discriminators_loss(drawn)).items()}
    alone = all_terms(objective.discriminators_loss(again))
    assert {name: value.item() for name, value in alone.items()} == pytest.approx(expected, rel=1e-6)


@torch.no_grad()
def test_second_window_is_seen_beside_the_first_by_the_ct_discriminator_alone():
    objective = make_objective(2, window=(-1000, 600), second_window=(-160, 240))
    drawn = objective.draw(make_batch(2), Draws(0, 0))
    drawn["ct"][0, 0, 0, :4] = (torch.tensor([-160.0, 40, 240, 300]) + 200) / 800  # HU to [-1, 1]
    judged = []
    objective.discriminator_ct.register_forward_pre_hook(lambda module, args: judged.append(args[0]))
    objective.generators_loss(drawn)
    all_terms(objective.discriminators_loss(drawn))
    fake = objective.generator_mr2ct(drawn["mr"])
    for found, whole in zip(judged, (fake, drawn["ct"], fake), strict=True):
        assert torch.equal(found[:, :1], whole)
        for one, narrow in zip(whole.flatten().tolist(), found[:, 1:].flatten().tolist(), strict=True):
            hu = min(max(-200 + 800 * one, -160), 240)
            assert narrow == pytest.approx((hu - 40) / 200, abs=1e-4)
    assert judged[1][0, 1, 0, :4].tolist() == pytest.approx([-1, 0, 1, 1], abs=1e-5)


def test_a_window_has_its_lower_end_first():
    with pytest.raises(ValueError, match=r"a window is .* got \(240, -160\)"):
        make_objective(second_window=(240, -160))


@torch.no_grad()
def test_discriminators_are_shown_the_pool():
    objective = make_objective(pool_size=2)
    drawn = objective.draw(make_batch(), Draws(0, 0))
    objective.generators_loss(drawn)
    all_terms(objective.discriminators_loss(drawn))
    old = torch.stack(objective.pool_ct.images)
    later = make_batch() | {"uniforms_ct": torch.ones(2, 2) * 0.99, "uniforms_mr": torch.zeros(2, 2)}
    later |= {"handover": Handover(2)}
    objective.generators_loss(later)
    term = all_terms(objective.discriminators_loss(later))["ct"].item()
    fakes = torch.stack([old[1], objective.generator_mr2ct(later["mr"][:1])[0]])  # slot 1 twice: old, then new
    expected = squares(objective.discriminator_ct(later["ct"])[-1], 1) + squares(
        objective.discriminator_ct(fakes)[-1], 0
    )
    assert term == pytest.approx(expected / 2, rel=1e-4)


def test_chance_decides_without_waiting_for_a_device():
    """Tensors on "meta" have no values that could be fetched."""
    objective = make_objective(crop_size=SIZE // 2, pool_size=1)
    batch = {name: images.to("meta") for name, images in make_batch(rows=3).items()}
    drawn = objective.draw(batch, Draws(0, 0, device="meta"))
    assert drawn["mr"].shape == drawn["ct"].shape == (3, 1, SIZE // 2, SIZE // 2)
    pooled = objective.pool_ct.exchange(drawn["ct"], drawn["uniforms_ct"])
    assert pooled.device.type == "meta"
    assert len(objective.pool_ct.images) == 1


def test_crops_cover_the_image_and_modalities_move_together():
    size, crop = 6, 4
    objective = make_objective(2, crop_size=crop)
    pixels = torch.arange(size * size, dtype=torch.float32).view(1, 1, size, size)
    batch = {"mr": torch.cat([pixels, pixels + 100], 1), "ct": pixels}
    seen = set()
    for iteration in range(300):
        drawn = objective.draw(batch, Draws(1, iteration))
        assert torch.equal(drawn["mr"][:, 1], drawn["mr"][:, 0] + 100)
        corner, beside = drawn["mr"][0, 0, 0, :2].tolist()
        seen.add((corner, beside > corner))
    starts = itertools.product(range(size - crop + 1), repeat=2)
    # a crop that is not flipped begins with its left column, a flipped one with its right column
    expected = {(float(y * size + x), True) for y, x in starts}
    expected |= {(corner + crop - 1, False) for corner, _ in expected}
    assert seen == expected
    with pytest.raises(ValueError, match="crops of 8 do not fit"):
        make_objective(crop_size=8).draw(batch, Draws(0, 0))


@pytest.mark.parametrize("parts", [1, 2])
def test_one_iteration_moves_every_network(parts):
    objective = make_objective(2)
    generators = {"generator_mr2ct": objective.generator_mr2ct, "generator_ct2mr": objective.generator_ct2mr}
    discriminators = {"discriminator_ct": objective.discriminator_ct} | {
        f"discriminator_{m}": d for m, d in enumerate(objective.discriminators_mr)
    }
    updates = [
        Update(
            name,
            networks,
            torch.optim.Adam([p for n in networks.values() for p in n.parameters()], 2e-4, (0.5, 0.999)),
            getattr(objective, f"{name}_loss"),
        )
        for name, networks in (("generators", generators), ("discriminators", discriminators))
    ]
    networks = generators | discriminators
    before = {name: [p.clone() for p in n.parameters()] for name, n in networks.items()}
    trainer = AlternatingTrainer("cpu", 1, [make_batch(2)], updates, objective.draw, accumulation=parts)
    trainer.run()
    for name, network in networks.items():
        assert any(not torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True)), name
    assert len(objective.pool_ct.images) == 2
