"""Private gradients: clipped for each example, noise of the right size; epsilon by integration and as published."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.nn.functional import softplus

from tools.engines.private import ORDERS, epsilon_of, private_gradient, renyi_divergence
from tools.losses.adversarial import r1_penalty
from tools.networks.stylegan2 import StyleGAN2Discriminator

SIZE, ROWS = 32, 3


@pytest.fixture(scope="module")
def discriminator():
    """A discriminator that judges each image by itself: its groups are of one."""
    torch.manual_seed(0)
    return StyleGAN2Discriminator(SIZE, 1, channel_base=64, channel_max=8, group_size=1)


@pytest.fixture(scope="module")
def images():
    return torch.randn(ROWS, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def gradient(discriminator, images, max_norm, noise=0.0, expected=ROWS, **options):
    def loss(image):
        return softplus(-discriminator(image)).sum()

    return private_gradient(loss, [*discriminator.parameters()], images, max_norm, noise, expected, **options)


def one_by_one(discriminator, images):
    """Gradient of each image's loss by backward passes, as one vector."""
    found = []
    for image in images:
        discriminator.zero_grad()
        softplus(-discriminator(image[None])).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in discriminator.parameters()]))
    return found


def flat(gradients):
    return torch.cat([one.flatten() for one in gradients])


def test_without_noise_and_clipping_it_is_the_ordinary_gradient(discriminator, images):
    discriminator.zero_grad()
    softplus(-discriminator(images)).mean().backward()
    ordinary = [parameter.grad for parameter in discriminator.parameters()]
    torch.testing.assert_close(gradient(discriminator, images, math.inf), ordinary, rtol=1e-5, atol=1e-6)


def test_each_image_is_clipped_by_itself(discriminator, images):
    each = one_by_one(discriminator, images)
    norms = [float(one.norm()) for one in each]
    limit = sum(norms) / len(norms)  # some are clipped, some are not
    expected = sum(one * min(1, limit / norm) for one, norm in zip(each, norms, strict=True)) / 7
    assert min(norms) < limit < max(norms)
    found = flat(gradient(discriminator, images, limit, expected=7))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_nobody_moves_it_by_more_than_the_norm(discriminator, images):
    """Also one whose own gradient is a million times as long."""
    huge = torch.cat([images, 1000 * images[:1]])
    with_all = flat(gradient(discriminator, huge, 0.1, expected=1))
    for left_out in range(len(huge)):
        kept = [n for n in range(len(huge)) if n != left_out]
        moved = with_all - flat(gradient(discriminator, huge[kept], 0.1, expected=1))
        assert float(moved.norm()) <= 0.1 * (1 + 1e-4)


def test_noise_has_the_size_that_it_should(discriminator, images):
    clean = flat(gradient(discriminator, images, 0.5, expected=4))
    noisy = flat(gradient(discriminator, images, 0.5, 2.0, 4, generator=np.random.default_rng(2)))
    noise = ((noisy - clean) * 4 / (2.0 * 0.5)).double()
    assert stats.kstest(noise.numpy(), "norm").pvalue > 0.001
    assert noise.std().item() == pytest.approx(1, abs=5 / (2 * len(noise)) ** 0.5)
    nobody = flat(gradient(discriminator, images[:0], 0.5, 2.0, 4, generator=np.random.default_rng(2)))
    torch.testing.assert_close(nobody, noisy - clean, rtol=0, atol=1e-5)


def test_a_penalty_of_one_image_can_be_part_of_its_loss(discriminator, images):
    """R1, by gradients of gradients."""

    def loss(image):
        shown = image.clone().requires_grad_()
        return r1_penalty(discriminator(shown), shown)

    found = private_gradient(loss, [*discriminator.parameters()], images, math.inf, 0, ROWS)
    discriminator.zero_grad()
    shown = images.clone().requires_grad_()
    r1_penalty(discriminator(shown), shown).backward()
    for one, parameter in zip(found, discriminator.parameters(), strict=True):
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("order", "rate", "noise"), [(2, 0.01, 1.0), (5, 0.1, 1.5), (16, 0.02, 4.0), (3, 1.0, 2.0)])
def test_divergences_are_integrals(order, rate, noise):
    """Of the mixture (1 - q) N(0, sigma^2) + q N(1, sigma^2) from N(0, sigma^2)."""

    def integrand(x):
        without = stats.norm.pdf(x, 0, noise)
        ratio = (1 - rate) + rate * math.exp((2 * x - 1) / (2 * noise**2))
        return without * ratio**order

    value, _ = integrate.quad(integrand, -12 * noise, order + 12 * noise, limit=400, epsabs=0, epsrel=1e-11)
    assert renyi_divergence(order, rate, noise) == pytest.approx(math.log(value) / (order - 1), rel=1e-7)


def test_epsilon_is_that_which_was_published():
    """q = 0.01, sigma = 4, 10,000 steps, delta = 1e-5: 1.26 by the moments accountant (Abadi et al. 2016, section 3.2),
    whose conversion is looser than that of `epsilon_of`.
    """
    moments = min(10_000 * renyi_divergence(a, 0.01, 4.0) + math.log(1e5) / (a - 1) for a in ORDERS)
    assert moments == pytest.approx(1.26, abs=0.005)
    assert 0.8 * moments < epsilon_of(0.01, 4.0, 10_000, 1e-5) < moments


def test_epsilon_bounds_the_exact_one_of_a_gaussian():
    """Delta of T steps with everybody in them is that of one with sigma / sqrt(T) (Balle and Wang 2018, Theorem 8)."""
    noise, steps, delta = 8.0, 20, 1e-5
    epsilon = epsilon_of(1.0, noise, steps, delta)
    mu = math.sqrt(steps) / noise

    def exact(eps):
        return stats.norm.cdf(mu / 2 - eps / mu) - math.exp(eps) * stats.norm.cdf(-mu / 2 - eps / mu)

    assert exact(epsilon) <= delta
    assert exact(0.85 * epsilon) > delta  # and is not far from it


def test_epsilon_grows_with_what_is_told():
    base = epsilon_of(0.05, 1.2, 1000, 1e-5)
    assert epsilon_of(0.05, 1.2, 2000, 1e-5) > base
    assert epsilon_of(0.1, 1.2, 1000, 1e-5) > base > epsilon_of(0.05, 2.0, 1000, 1e-5)
    assert epsilon_of(0.05, 0.0, 1, 1e-5) == math.inf
    assert epsilon_of(0.05, 1.2, 0, 1e-5) == epsilon_of(0.0, 1.2, 9, 1e-5) == 0


def test_what_gives_no_privacy_is_refused(discriminator, images):
    with pytest.raises(ValueError, match="max_norm, which is infinite"):
        gradient(discriminator, images, math.inf, 1.0)
    with pytest.raises(ValueError, match="got max_norm 0"):
        gradient(discriminator, images, 0)
    with pytest.raises(ValueError, match="expected a rate in"):
        epsilon_of(1.5, 1.0, 1, 1e-5)
