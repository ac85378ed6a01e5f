"""Each loss of CRF-GAN against its line in the paper, written out from the networks' outputs."""

import pytest
import torch

from tests.losses.by_hand import BATCH, LATENT, SIZE, cross_entropy, generated, log_sigmoid, mean, slab_of
from tools.engines.draws import Draws
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms
from tools.layers.crf import MeanFieldCRF, axial_nodes
from tools.losses.crf_gan import CRFGANObjective
from tools.networks.hierarchical_gan import Generator, HalfEncoder, SubVolumeDiscriminator


def make_objective(num_classes=0, **options):
    torch.manual_seed(0)
    objective = CRFGANObjective(
        generator=Generator(SIZE, LATENT, base_channels=8, num_classes=num_classes),
        discriminator=SubVolumeDiscriminator(SIZE, channels=64, num_classes=num_classes),
        encoder=HalfEncoder(8),
        crf=MeanFieldCRF(SIZE // 4),
        latent_dim=LATENT,
        **options,
    )
    torch.nn.init.normal_(objective.crf.weight)
    for network in (objective.generator, objective.discriminator, objective.encoder, objective.crf):
        network.eval()  # spectral normalisation stands still, so that calls can be compared
    return objective


@pytest.fixture
def drawn():
    """A batch with its random numbers, in iteration 30,000, where the blend is a quarter CRF."""
    batch = {"image": torch.rand(BATCH, 1, SIZE, SIZE, SIZE) * 2 - 1}
    return make_objective().draw(batch, Draws(seed=0, iteration=30_000))


def test_draw(drawn):
    assert drawn["generator_latent"].shape == (BATCH, LATENT)
    latents = [drawn[f"{name}_latent"] for name in ("discriminator", "generator", "crf")]
    assert not any(torch.equal(a, b) for a, b in ((latents[0], latents[1]), (latents[1], latents[2])))
    objective = make_objective()
    starts = {objective.draw({"image": drawn["image"]}, Draws(0, i))["start"] for i in range(400)}
    assert starts == set(range(7 * SIZE // 8 + 1))


@torch.no_grad()
def test_discriminator_loss(drawn):
    objective, start = make_objective(), drawn["start"]
    real, _ = objective.discriminator(slab_of(drawn["image"], start), start)
    fake, _ = objective.discriminator(generated(objective, drawn["discriminator_latent"], start)[1], start)
    terms = all_terms(objective.discriminator_loss(drawn))
    assert terms["real"].item() == pytest.approx(mean(-log_sigmoid(x.item()) for x in real), rel=1e-5)
    assert terms["fake"].item() == pytest.approx(mean(-log_sigmoid(-x.item()) for x in fake), rel=1e-5)
    assert set(terms) == {"real", "fake"}


@torch.no_grad()
@pytest.mark.parametrize(("iteration", "weight"), [(0, 0.5), (30_000, 0.25), (60_000, 0.0), (90_000, 0.0)])
def test_generator_loss_blends_logits(drawn, iteration, weight):
    objective, start = make_objective(), drawn["start"]
    embedding, slab = generated(objective, drawn["generator_latent"], start)
    logit, _ = objective.discriminator(slab, start)
    consistency = objective.crf(axial_nodes(embedding), logit).mean(dim=1)
    blend = [weight * c.item() + (1 - weight) * d.item() for c, d in zip(consistency, logit, strict=True)]
    assert objective.crf_weight_at(iteration) == pytest.approx(weight)
    loss = objective.generator_loss(drawn | {"iteration": iteration})
    assert loss["adversarial"].item() == pytest.approx(mean(-log_sigmoid(x) for x in blend), rel=1e-5)


@torch.no_grad()
def test_generator_loss_as_the_plain_sum_of_equation_1(drawn):
    objective, start = make_objective(feedback="sum"), drawn["start"]
    embedding, slab = generated(objective, drawn["generator_latent"], start)
    logit, _ = objective.discriminator(slab, start)
    consistency = objective.crf(axial_nodes(embedding), logit).mean(dim=1)
    terms = objective.generator_loss(drawn)
    assert terms["discriminator"].item() == pytest.approx(mean(-log_sigmoid(x.item()) for x in logit), rel=1e-5)
    assert terms["crf"].item() == pytest.approx(mean(-log_sigmoid(x.item()) for x in consistency), rel=1e-5)


@torch.no_grad()
def test_crf_loss_sees_the_whole_image(drawn):
    objective, start = make_objective(), drawn["start"]
    embedding, slab = generated(objective, drawn["crf_latent"], start)
    fake = objective.crf(axial_nodes(embedding), objective.discriminator(slab, start)[0]).mean(dim=1)
    whole = objective.encoder(drawn["image"])
    assert whole.shape[2] == SIZE // 4
    logit, _ = objective.discriminator(slab_of(drawn["image"], start), start)
    real = objective.crf(axial_nodes(whole), logit).mean(dim=1)
    terms = objective.crf_loss(drawn)
    assert terms["real"].item() == pytest.approx(mean(-log_sigmoid(x.item()) for x in real), rel=1e-5)
    assert terms["fake"].item() == pytest.approx(mean(-log_sigmoid(-x.item()) for x in fake), rel=1e-5)


@torch.no_grad()
def test_the_crf_is_trained_on_what_the_generators_update_made(drawn):
    """Not made again: neither G nor D runs on fakes. D's logit is that of the same D on the same slab."""
    objective, start = make_objective(), drawn["start"]
    embedding, slab = generated(objective, drawn["generator_latent"], start)
    expected = objective.crf(axial_nodes(embedding), objective.discriminator(slab, start)[0]).mean(dim=1)
    objective.generator_loss(drawn)
    calls = []
    objective.generator.embed.register_forward_hook(lambda *_: calls.append("embed"))
    objective.discriminator.register_forward_hook(lambda *_: calls.append("judge"))
    terms = objective.crf_loss(drawn)
    assert calls == ["judge"]  # the real slab
    assert terms["fake"].item() == pytest.approx(mean(-log_sigmoid(-x.item()) for x in expected), rel=1e-5)
    assert drawn["handover"].take(lambda: None) is None  # nothing is left


@torch.no_grad()
def test_the_crfs_own_fakes_as_in_the_papers_code(drawn):
    objective = make_objective(implementation="reference")
    alone = objective.crf_loss(drawn)["fake"]
    objective.generator_loss(drawn)
    assert torch.equal(objective.crf_loss(drawn)["fake"], alone)


@torch.no_grad()
def test_encoder_loss(drawn):
    objective = make_objective()
    slab = slab_of(drawn["image"], drawn["start"])
    expected = (objective.generator.decode(objective.encoder(slab)) - slab).abs().sum() / slab.numel()
    assert objective.encoder_loss(drawn)["reconstruction"].item() == pytest.approx(expected.item(), rel=1e-5)


@torch.no_grad()
def test_classes_add_their_cross_entropy_to_d_and_a_tenth_of_it_to_g(drawn):
    objective, start = make_objective(num_classes=2), drawn["start"]
    label = torch.tensor([0, 1, 1])
    batch = drawn | {"label": label}
    _, classes = objective.discriminator(slab_of(drawn["image"], start), start)
    expected = cross_entropy(classes, label)
    assert all_terms(objective.discriminator_loss(batch))["class"].item() == pytest.approx(expected, rel=1e-5)
    _, slab = generated(objective, drawn["generator_latent"], start, label)
    _, classes = objective.discriminator(slab, start)
    expected = 0.1 * cross_entropy(classes, label)
    assert objective.generator_loss(batch)["class"].item() == pytest.approx(expected, rel=1e-5)
    objective = make_objective(num_classes=2, discriminator_class_weight=0.5, generator_class_weight=0.2)
    assert objective.generator_loss(batch)["class"].item() == pytest.approx(2 * expected, rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("implementation", ["reference", "optimised"])
def test_the_released_codes_nodes(drawn, implementation):
    """Its lines: a_inter[:, :, :num_nodes].reshape(batch, num_nodes, -1), similarities over norms, and mean field."""
    objective, start = make_objective(crf_nodes="channels", implementation=implementation), drawn["start"]
    torch.nn.init.normal_(objective.crf.weight, std=0.3)
    embedding, slab = generated(objective, drawn["generator_latent"], start)
    logits, _ = objective.discriminator(slab, start)
    nodes = objective.crf.num_nodes
    feats = embedding[:, :, :nodes].contiguous().reshape(BATCH, nodes, -1)
    norms = feats.norm(dim=2, keepdim=True)
    similarity = feats @ feats.mT / (norms @ norms.mT + 1e-6)
    pairwise = similarity * (objective.crf.weight + objective.crf.weight.T) / 2
    unary = refined = logits.unsqueeze(1).expand(-1, nodes, -1)
    for _ in range(objective.crf.iterations):
        probability = refined.sigmoid().mT
        refined = unary + (probability * pairwise - (1 - probability) * pairwise).sum(2, keepdim=True)
    found = objective.consistency(embedding, logits)
    torch.testing.assert_close(found, refined.mean(1), rtol=1e-4, atol=1e-5)
    objective.crf_nodes = "slices"
    assert not torch.allclose(found, objective.consistency(embedding, logits), atol=1e-3)


def test_the_crfs_share_falls_over_the_run_on_request(drawn):
    """By default over 60,000 iterations, so that 0.37 is left after the text's 80 epochs of 200."""
    assert make_objective().crf_weight_at(16_000) == pytest.approx(0.3667, abs=1e-4)
    objective = make_objective(crf_iterations=None)
    assert [objective.crf_weight_at(i, 400) for i in (0, 100, 399, 400)] == pytest.approx([0.5, 0.375, 0.00125, 0])
    half = objective.generator_loss(drawn | {"iteration": 200, "iterations": 400})["adversarial"]
    quarter = make_objective().generator_loss(drawn | {"iteration": 30_000})["adversarial"]
    assert half.item() == pytest.approx(quarter.item())
    with pytest.raises(ValueError, match="the length of the run is not known"):
        objective.crf_weight_at(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"crf_nodes": "voxels"}, "crf_nodes is 'voxels', expected"), ({"crf_iterations": 0}, "crf_iterations is 0")],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_objective(**options)


def test_every_update_trains_its_own_networks_and_reaches_all_their_parameters():
    """One iteration of the paper's algorithm: every parameter of every network gets a gradient, once."""
    objective = make_objective()
    networks = {
        "discriminator": objective.discriminator,
        "generator": objective.generator,
        "crf": objective.crf,
        "encoder": objective.encoder,
    }
    updates = [
        Update(name, {name: net}, torch.optim.Adam(net.parameters()), getattr(objective, f"{name}_loss"))
        for name, net in networks.items()
    ]
    reached = {}
    for update in updates:
        step = update.optimizer.step

        def step_and_look(*args, name=update.name, step=step, **kwargs):
            reached[name] = {
                other: sum(bool(p.grad is not None and p.grad.abs().sum() > 0) for p in net.parameters())
                for other, net in networks.items()
            }
            result = step(*args, **kwargs)
            for net in networks.values():
                net.zero_grad(set_to_none=True)
            return result

        update.optimizer.step = step_and_look
    data = [{"image": torch.rand(BATCH, 1, SIZE, SIZE, SIZE) * 2 - 1}]
    AlternatingTrainer("cpu", 1, data, updates, objective.draw).run()
    for name in networks:
        expected = {other: len(list(net.parameters())) if other == name else 0 for other, net in networks.items()}
        assert reached[name] == expected


def test_unknown_feedback_is_named():
    with pytest.raises(ValueError, match="feedback is 'product', expected 'blend' or 'sum'"):
        make_objective(feedback="product")
