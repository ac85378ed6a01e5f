"""VAE-GAN, alpha-GAN, alpha-WGAN-GP and CCE-GAN: each loss by its formula, and which networks an update moves."""

import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Events

from tests.engines.toys import make_trainer
from tools.engines.draws import Draws
from tools.engines.update import RepeatedAdam, Update, all_terms
from tools.losses.adversarial import wasserstein_penalty
from tools.losses.auto_encoding_gan import AlphaGANObjective, CCEGANObjective, VAEGANObjective
from tools.losses.sinkhorn import sinkhorn_cost
from tools.networks.volume_gan import CodeDiscriminator, VariationalEncoder, VolumeDiscriminator, VolumeGenerator

SIZE, LATENT, ROWS = [8, 12, 8], 6, 4


def batch_of(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {"image": torch.rand(ROWS, 1, *SIZE, generator=generator) * 2 - 1}


def objective_of(kind, **options):
    """By double precision and without normalisation over the batch, so that a row is judged alike in any batch."""
    torch.manual_seed(0)
    generator = VolumeGenerator(SIZE, LATENT, 1, 4)
    networks = [VolumeDiscriminator(SIZE, 1, 4, norm="layer")]
    if kind is VAEGANObjective:
        networks.append(VariationalEncoder(SIZE, LATENT, 1, 4, 8))
    else:
        networks.append(VolumeDiscriminator(SIZE, 1, 4, outputs=LATENT))
    if kind is AlphaGANObjective:
        networks.append(CodeDiscriminator(LATENT, 8, norm="layer"))
    objective = kind(generator.double(), *(network.double() for network in networks), **options)
    drawn = objective.draw(batch_of(), Draws(0, 0))
    return objective, {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in drawn.items()}


def log_sigmoid(x):
    return torch.log(1 / (1 + torch.exp(-x))).mean()


def close(found, **expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)


def test_alpha_wgan_gp():
    """E and G: 10 |x - xr| - C(zh) - D(xr) - D(xh). D: -2 D(x) + D(xr) + D(xh) + GP(xr) + GP(xh). C likewise."""
    objective, drawn = objective_of(AlphaGANObjective)
    d, c, x, z = objective.discriminator, objective.code_discriminator, drawn["real"], drawn["generator_latent"]
    zh = objective.encoder(x)
    xr, xh = objective.generator(zh), objective.generator(z)
    close(
        all_terms(objective.generator_loss(drawn)),
        reconstruction=10 * (x - xr).abs().mean(),
        code=-c(zh).mean(),
        adversarial=-d(xr).mean(),
        sample=-d(xh).mean(),
    )
    penalties = [
        10 * wasserstein_penalty(d, x, made, drawn[f"{name}_share"])
        for name, made in (("reconstruction", xr), ("fake", xh))
    ]
    close(
        all_terms(objective.discriminator_loss(drawn)),
        real=-2 * d(x).mean(),
        reconstruction=d(xr).mean(),
        fake=d(xh).mean(),
        penalty=sum(penalties),
    )
    close(
        objective.code_discriminator_loss(drawn),
        real=-c(z).mean(),
        fake=c(zh).mean(),
        penalty=10 * wasserstein_penalty(c, z, zh, drawn["code_share"]),
    )


def test_alpha_gan():
    """The same places, with cross-entropies, and no penalty."""
    objective, drawn = objective_of(AlphaGANObjective, adversarial="logistic")
    d, c, x, z = objective.discriminator, objective.code_discriminator, drawn["real"], drawn["generator_latent"]
    zh = objective.encoder(x)
    xr, xh = objective.generator(zh), objective.generator(z)
    close(
        all_terms(objective.generator_loss(drawn)),
        reconstruction=10 * (x - xr).abs().mean(),
        code=-log_sigmoid(c(zh)),
        adversarial=-log_sigmoid(d(xr)),
        sample=-log_sigmoid(d(xh)),
    )
    close(
        all_terms(objective.discriminator_loss(drawn)),
        real=-2 * log_sigmoid(d(x)),
        reconstruction=-log_sigmoid(-d(xr)),
        fake=-log_sigmoid(-d(xh)),
    )
    close(objective.code_discriminator_loss(drawn), real=-log_sigmoid(c(z)), fake=-log_sigmoid(-c(zh)))


@pytest.mark.parametrize("kind", [AlphaGANObjective, CCEGANObjective])
def test_d_makes_what_no_update_has_left(kind):
    """Where G's update did not run: the same volumes, as G has not moved."""
    objective, drawn = objective_of(kind)
    alone = all_terms(objective.discriminator_loss(drawn))
    if kind is AlphaGANObjective:
        all_terms(objective.generator_loss(drawn))
        after = all_terms(objective.discriminator_loss(drawn))
        close({name: term.detach() for name, term in alone.items()}, **{n: t.detach() for n, t in after.items()})
    assert alone.keys() == {"real", "reconstruction", "fake", "penalty"}
    assert all(p.grad is None for p in objective.generator.parameters())


@pytest.mark.parametrize("points", ["numbers", "codes"])
def test_cce_gan(points):
    """G: 100 |x - xr| - D(xh) - D(xr) + 50 |E(x) - E(xr)|^2 + 50 |z - E(xh)|^2. E: 100 times Sinkhorn's cost."""
    objective, drawn = objective_of(CCEGANObjective, sinkhorn_points=points)
    d, e, x, z = objective.discriminator, objective.encoder, drawn["real"], drawn["generator_latent"]
    xr, xh = objective.generator(e(x)), objective.generator(z)
    close(
        all_terms(objective.generator_loss(drawn)),
        reconstruction=100 * (x - xr).abs().mean(),
        adversarial=-d(xr).mean(),
        code=50 * (e(x) - e(xr)).square().mean(),
        sample=-d(xh).mean(),
        latent=50 * (z - e(xh)).square().mean(),
    )
    code, latent = e(x), drawn["encoder_latent"]
    ends = (latent.T, code.T) if points == "numbers" else (latent, code)
    close(objective.encoder_loss(drawn), sinkhorn=100 * sinkhorn_cost(*ends, 0.1, 100))


def test_cce_gan_without_its_cycles_is_alpha_wgan_with_weight_100_and_no_code_term():
    cce, drawn = objective_of(CCEGANObjective, code_weight=0.0, latent_weight=0.0)
    alpha, same = objective_of(AlphaGANObjective, reconstruction_weight=100.0)
    found, expected = (all_terms(objective.generator_loss(batch)) for objective, batch in ((cce, drawn), (alpha, same)))
    expected.pop("code")
    assert found.pop("code").item() == found.pop("latent").item() == 0
    close(found, **expected)


def test_vae_gan():
    """G: 20 |x - xr|^2 - log D(xr) - log D(xh). E: KL + 10 |x - xr|^2. D: three cross-entropies."""
    objective, drawn = objective_of(VAEGANObjective)
    objective.encoder.eval()  # as it would see the batch the same in every pass
    d, x = objective.discriminator, drawn["real"]
    mean, log_variance = objective.encoder(x)
    xr = objective.generator(mean + log_variance.exp().sqrt() * drawn["noise"])
    close(
        all_terms(objective.generator_loss(drawn)),
        reconstruction=20 * (x - xr).square().mean(),
        adversarial=-log_sigmoid(d(xr)),
        sample=-log_sigmoid(d(objective.generator(drawn["generator_latent"]))),
    )
    kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).mean()
    close(objective.encoder_loss(drawn), reconstruction=10 * (x - xr).square().mean(), kl=kl)
    close(
        all_terms(objective.discriminator_loss(drawn)),
        real=-log_sigmoid(d(x)),
        reconstruction=-log_sigmoid(-d(xr)),
        fake=-log_sigmoid(-d(objective.generator(drawn["discriminator_latent"]))),
    )


def test_vae_gan_saturating_maximises_what_d_minimises():
    objective, drawn = objective_of(VAEGANObjective, saturating=True)
    objective.encoder.eval()
    made = objective.generator(drawn["generator_latent"])
    sample = all_terms(objective.generator_loss(drawn))["sample"]
    torch.testing.assert_close(sample, log_sigmoid(-objective.discriminator(made)))


def test_vae_gan_in_features():
    """Larsen et al.: the middle of D, half the mean squared difference; E's gradient goes through it, D's is none."""
    objective, drawn = objective_of(VAEGANObjective, reconstruction="features")
    objective.encoder.eval()
    mean, log_variance = objective.encoder(drawn["real"])
    xr = objective.generator(mean + log_variance.exp().sqrt() * drawn["noise"])
    features = [objective.discriminator.features[0](volume) for volume in (drawn["real"], xr)]
    assert len(objective.discriminator.features) == 2  # one convolution at this size
    terms = objective.encoder_loss(drawn)
    middle = [objective.discriminator.middle(volume) for volume in (drawn["real"], xr)]
    torch.testing.assert_close(middle[0], features[0])
    torch.testing.assert_close(terms["reconstruction"], 10 * F.mse_loss(*middle) / 2)


def parameters(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def moved(objective, names, updates, iterations=1, batches=None):
    """Names of the networks that a training moves."""
    networks = {name: getattr(objective, name) for name in names}
    before = {name: parameters(network) for name, network in networks.items()}
    trainer = make_trainer(objective, updates, batches or [batch_of()] * iterations)
    trainer.run()
    return {
        name
        for name, network in networks.items()
        if any(not torch.equal(a, b) for a, b in zip(before[name], parameters(network), strict=True))
    }


def update(objective, name, *names):
    networks = {one: getattr(objective, one) for one in names}
    optimizer = torch.optim.Adam([p for one in networks.values() for p in one.parameters()], lr=1e-3)
    return Update(name, networks, optimizer, getattr(objective, f"{name}_loss"))


def in_float(kind, **options):
    objective, _ = objective_of(kind, **options)
    for name in ("generator", "discriminator", "encoder", "code_discriminator"):
        if hasattr(objective, name):
            getattr(objective, name).float()
    return objective


@pytest.mark.parametrize(
    ("kind", "name", "learn"),
    [
        (VAEGANObjective, "discriminator", {"discriminator"}),
        (VAEGANObjective, "generator", {"generator"}),
        (VAEGANObjective, "encoder", {"encoder"}),
        (AlphaGANObjective, "generator", {"generator", "encoder"}),
        (AlphaGANObjective, "generator", {"generator"}),
        (AlphaGANObjective, "discriminator", {"discriminator"}),
        (AlphaGANObjective, "code_discriminator", {"code_discriminator"}),
        (CCEGANObjective, "generator", {"generator"}),
        (CCEGANObjective, "encoder", {"encoder"}),
        (CCEGANObjective, "discriminator", {"discriminator"}),
    ],
)
def test_a_step_moves_what_it_trains_and_leaves_the_others_to_the_last_bit(kind, name, learn):
    objective = in_float(kind)
    names = ["generator", "discriminator", "encoder"] + (["code_discriminator"] if kind is AlphaGANObjective else [])
    assert moved(objective, names, [update(objective, name, *learn)]) == learn


def followed(objective, updates, term, iterations=25):
    """A term of the loss in each iteration on one repeated batch."""
    trainer, losses = make_trainer(objective, updates, [batch_of()] * iterations), []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output[0]["loss"][term])
    )
    trainer.run()
    return losses


def test_reconstruction_of_one_repeated_batch_gets_better_in_alpha_gan():
    objective = in_float(AlphaGANObjective)
    losses = followed(objective, [update(objective, "generator", "generator", "encoder")], "generator/reconstruction")
    assert losses[-1] < 0.97 * losses[0]


def test_reconstruction_of_one_repeated_batch_gets_better_in_vae_gan():
    objective = in_float(VAEGANObjective)
    updates = [update(objective, "generator", "generator"), update(objective, "encoder", "encoder")]
    losses = followed(objective, updates, "generator/reconstruction")
    assert losses[-1] < 0.97 * losses[0]


def test_latents_come_back_better_from_what_is_made_of_them():
    """z -> G -> E of CCE-GAN, by G's steps alone."""
    objective = in_float(CCEGANObjective)
    losses = followed(objective, [update(objective, "generator", "generator")], "generator/latent")
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])


def test_two_steps_on_one_gradient_are_two_steps_of_adam():
    """Of the generator alone; the encoder, in the same update, takes one."""
    torch.manual_seed(0)
    twice, once, reference = (torch.nn.Parameter(torch.ones(3)) for _ in range(3))
    both = RepeatedAdam([{"params": [twice], "repeats": 2}, {"params": [once]}], lr=0.1, betas=(0.5, 0.9))
    adam = torch.optim.Adam([reference], lr=0.1, betas=(0.5, 0.9))
    for gradient in (torch.tensor([1.0, -2, 3]), torch.tensor([0.5, 1, -1])):
        for parameter in (twice, once, reference):
            parameter.grad = gradient.clone()
        both.step()
        adam.step()
        adam.step()
        assert torch.equal(once.grad, gradient)
    torch.testing.assert_close(twice, reference)
    assert both.state[twice]["step"] == 4
    assert both.state[once]["step"] == 2
    with pytest.raises(ValueError, match="repeats is 0"):
        RepeatedAdam([{"params": [once], "repeats": 0}], lr=0.1)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (AlphaGANObjective, {"adversarial": "hinge"}, "adversarial is 'hinge', expected one of wasserstein, logistic"),
        (VAEGANObjective, {"reconstruction": "pixels"}, "expected one of voxels, features"),
        (CCEGANObjective, {"sinkhorn_points": "rows"}, "expected one of numbers, codes"),
    ],
)
def test_words_that_are_no_choice(kind, options, says):
    with pytest.raises(ValueError, match=says):
        objective_of(kind, **options)
