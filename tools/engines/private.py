"""Differentially private gradients, and the epsilon that a training with them costs.

A training is (epsilon, delta) private if no event is more probable by more than a factor of exp(epsilon), and delta,
with one person's data than without them. For a GAN it is enough that the discriminator learns by private gradients of
real images: the generator sees nothing else of them (post-processing), as long as nothing else is fitted to real ones:
no encoder, no augmentation that follows the discriminator's verdicts, no choice of weights by training images, and no
network whose verdict on one image depends on the others of a batch, as batch normalisation or a minibatch's deviation
make it. What is logged of real images and what weights say of patients is not covered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.special import gammaln, logsumexp
from torch import Tensor

ORDERS = (*range(2, 65), *range(72, 257, 8), *range(320, 1025, 64))
"""Orders alpha of the Rényi divergence among which the best is taken."""

MOST_NOISE = 1e4
"""Noise multiplier above which nothing is learnt."""


def private_gradient(
    loss: Callable[[Tensor], Tensor],
    parameters: Sequence[Tensor],
    examples: Tensor,
    max_norm: float,
    noise_multiplier: float,
    expected: float,
    generator: np.random.Generator | None = None,
) -> list[Tensor]:
    """Gradient of a loss that tells little of any one example (Abadi et al. 2016, Algorithm 1).

    1 / L (sum over examples of g_i min(1, C / |g_i|) + N(0, sigma^2 C^2)), with g_i the gradient of one example in all
    parameters together. Divided by the expected size L of a batch, for how many were drawn tells who is there. Each
    example has its own backward pass, so that any network will do, also one that `torch.func` cannot transform, and any
    penalty of the gradient that belongs to one image.

    Args:
        loss: function of one example, with an axis of the batch of length 1, that gives a number.
        parameters: parameters of the gradient; one that a loss does not depend on counts as 0.
        examples: [B, ...], one of each person; B is 0 or more.
        max_norm: Euclidean norm C to which each example's gradient is clipped; infinity clips none.
        noise_multiplier: sigma, 0 for no noise and no privacy.
        expected: expected number L of examples.
        generator: source of the noise; None takes the operating system's entropy, as a guarantee needs it: who knows
            the seed takes the noise away.

    Returns:
        A gradient for each parameter.

    Raises:
        ValueError: a norm or a number of examples of 0 or less, negative noise, or noise without a norm to scale it.

    Example::

        def loss(image):
            return logistic(discriminator(image), real=True)

        gradient = private_gradient(loss, [*discriminator.parameters()], images, 1.0, 1.1, 16)
    """
    if not (max_norm > 0 and expected > 0 and noise_multiplier >= 0):
        raise ValueError(
            f"got max_norm {max_norm}, noise_multiplier {noise_multiplier} and {expected} expected examples; expected "
            "more than 0, 0 or more, and more than 0"
        )
    if noise_multiplier and math.isinf(max_norm):
        raise ValueError("noise is in units of max_norm, which is infinite: give a norm to clip gradients to")
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for example in examples.split(1) if len(examples) else ():
        found = torch.autograd.grad(loss(example), parameters, allow_unused=True)
        found = [torch.zeros_like(t) if g is None else g for g, t in zip(found, total, strict=True)]
        norm = torch.stack([g.square().sum() for g in found]).sum().sqrt()
        share = (max_norm / norm.clamp(min=1e-30)).clamp(max=1.0)
        for whole, one in zip(total, found, strict=True):
            whole += share * one
    if noise_multiplier:
        generator = generator or np.random.default_rng()
        for whole in total:
            noise = torch.from_numpy(generator.standard_normal(whole.shape, np.float32)).to(whole)
            whole += noise_multiplier * max_norm * noise
    return [whole / expected for whole in total]


def renyi_divergence(order: int, sampling_rate: float, noise_multiplier: float) -> float:
    """Rényi divergence of one step in which each person takes part with a probability q, independently of others.

    1 / (alpha - 1) log of the sum over k of C(alpha, k) (1 - q)^(alpha - k) q^k exp((k^2 - k) / (2 sigma^2)), for an
    added or a removed person (Mironov, Talwar and Zhang 2019, section 3.3).

    Args:
        order: alpha, a whole number from 2 up.
        sampling_rate: q, in [0, 1].
        noise_multiplier: sigma, more than 0.
    """
    if sampling_rate == 0:
        return 0.0
    if sampling_rate == 1:
        return order / (2 * noise_multiplier**2)
    k = np.arange(order + 1)
    terms = (
        gammaln(order + 1)
        - gammaln(k + 1)
        - gammaln(order - k + 1)
        + (order - k) * math.log1p(-sampling_rate)
        + k * math.log(sampling_rate)
        + (k * k - k) / (2 * noise_multiplier**2)
    )
    return max(0.0, float(logsumexp(terms)) / (order - 1))


def epsilon_of(sampling_rate: float, noise_multiplier: float, steps: int, delta: float) -> float:
    """Epsilon of so many steps of `private_gradient`, for an added or a removed person.

    The divergences of steps add up; of all orders that one is taken which gives the least epsilon, divergence +
    log((alpha - 1) / alpha) - (log delta + log alpha) / (alpha - 1) (Canonne, Kamath and Steinke 2020, Proposition 12).

    Args:
        sampling_rate: probability with which a person is in a batch, drawn for each batch and each person anew: not the
            share of a shuffled set.
        noise_multiplier: sigma; 0 gives infinity.
        steps: number of steps.
        delta: probability with which the bound may fail, far below 1 / number of people.

    Raises:
        ValueError: a rate outside [0, 1], delta outside (0, 1), negative noise or negative steps.
    """
    if not (0 <= sampling_rate <= 1 and 0 < delta < 1 and noise_multiplier >= 0 and steps >= 0):
        raise ValueError(
            f"got sampling_rate {sampling_rate}, noise_multiplier {noise_multiplier}, {steps} steps and delta {delta}; "
            "expected a rate in [0, 1], 0 or more, 0 or more, and a probability between 0 and 1"
        )
    if steps == 0 or sampling_rate == 0:
        return 0.0
    if noise_multiplier == 0:
        return math.inf
    bounds = [
        steps * renyi_divergence(order, sampling_rate, noise_multiplier)
        + math.log((order - 1) / order)
        - (math.log(delta) + math.log(order)) / (order - 1)
        for order in ORDERS
    ]
    return max(0.0, min(bounds))


def noise_for(epsilon: float, sampling_rate: float, steps: int, delta: float) -> float:
    """The least noise multiplier sigma, up to a thousandth, with which so many steps cost no more than epsilon.

    Args:
        epsilon: epsilon that is allowed, more than 0.
        sampling_rate: probability with which a person is in a batch, as for `epsilon_of`.
        steps: number of steps.
        delta: probability with which the bound may fail.

    Raises:
        ValueError: an epsilon of 0 or less, or so small that no noise up to 10,000 is enough.
    """
    low, high = 0.0, MOST_NOISE
    if not epsilon > 0 or epsilon_of(sampling_rate, high, steps, delta) > epsilon:
        raise ValueError(
            f"epsilon is {epsilon}, which {steps} steps with a rate of {sampling_rate:g} and delta {delta:g} cannot "
            "keep; expected a number above 0, such as 8"
        )
    while high - low > 1e-3 * high:
        middle = math.sqrt(low * high) if low else high / 2
        low, high = (low, middle) if epsilon_of(sampling_rate, middle, steps, delta) <= epsilon else (middle, high)
    return high
