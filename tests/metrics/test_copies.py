"""Nearest neighbours and what they say of copies: loops, laws of known distributions, and planted copies."""

import numpy as np
import pytest
from scipy import stats

from tools.metrics.copies import (
    Neighbours,
    area_under_curve,
    close_share,
    copy_probability,
    density_ratio,
    identifiability,
    nearer_share,
    nearest,
    share_of,
    tail_probability,
)


def points(seed, count=300, dims=16):
    return np.random.default_rng(seed).normal(size=(count, dims))


def test_neighbours_are_those_of_loops_and_never_of_the_same_patient():
    cases, asked, groups = points(0, 12, 3), points(1, 5, 3), np.arange(12) // 2
    found = nearest(asked, cases, groups=groups)
    own = nearest(cases, cases, own=True, groups=groups)
    for points_, result, is_own in ((asked, found, False), (cases, own, True)):
        for i, point in enumerate(points_):
            distances = {k: float(np.sqrt(((point - case) ** 2).sum())) for k, case in enumerate(cases)}
            if is_own:
                distances = {k: d for k, d in distances.items() if groups[k] != groups[i]}
            best = min(distances, key=distances.get)
            second = min(d for k, d in distances.items() if groups[k] != groups[best])
            assert result.index[i] == best
            assert result.first[i] == pytest.approx(distances[best], abs=1e-12)
            assert result.second[i] == pytest.approx(second, abs=1e-12)


def test_two_patients_are_needed():
    with pytest.raises(ValueError, match="cases of 1 patients; first and second neighbour need 2"):
        nearest(points(0, 4), points(1, 4), groups=np.zeros(4))


def test_two_equal_training_images_do_not_make_a_ratio():
    assert Neighbours(np.array([0.0, 0.0]), np.array([0.0, 2.0]), np.zeros(2, int)).ratio.tolist() == [1.0, 0.0]


def test_the_tail_follows_a_power_law():
    """Distances with P(r < x) = x^8: the probability of x is that, or larger because of caution."""
    rng = np.random.default_rng(0)
    references = rng.uniform(size=5000) ** (1 / 8)
    asked = np.array([0.2, 0.3, 0.4])
    found = tail_probability(asked, references)
    assert (found >= asked**8).all()
    # the slope's bound lies a tenth below the slope with 500 values in the tail
    assert (np.log(found) <= 0.85 * np.log(asked**8)).all()
    assert tail_probability(np.array([0.95]), references)[0] == pytest.approx(0.95**8, abs=0.02)
    assert tail_probability(np.array([0.0, 2.0]), references).tolist() == [0.0, 1.0]


def test_few_references_are_refused_and_equal_real_images_are_left_out():
    with pytest.raises(ValueError, match="19 real images give a distance"):
        tail_probability(np.ones(1), np.r_[np.ones(19), np.zeros(10)])


def test_independent_samples_are_accused_at_the_stated_rate():
    """In 60 sets of 200 independent samples, at 5 percent each, about 3 hold an accused one; never many more."""
    accused = 0
    for seed in range(60):
        training, samples = points(3 * seed, 150, 6), points(3 * seed + 1, 200, 6)
        own, found = nearest(training, training, own=True), nearest(samples, training)
        accused += (copy_probability(found, own) <= 0.05 / 200).any()
    assert accused <= stats.binom.ppf(0.999, 60, 0.05)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_one_copy_among_a_thousand_is_found(noise):
    training, samples = points(0, 500), points(1, 1000)
    samples[321] = training[123] + noise * points(2, 1)[0]
    own, found = nearest(training, training, own=True), nearest(samples, training)
    suspects = np.flatnonzero(copy_probability(found, own) <= 0.05 / 1000)
    assert suspects.tolist() == [321]
    assert found.index[321] == 123


def planted(count):
    """Scores of sets of 300 points in 16 dimensions, of whose samples so many are copies with a noise of 0.05."""
    training, held, samples = points(10), points(11), points(12)
    samples[:count] = training[:count] + 0.05 * points(13)[:count]
    found, apart = nearest(samples, training), nearest(held, training)
    return (
        close_share(found, apart).value,
        nearer_share(found.first, nearest(samples, held).first).value,
        identifiability(nearest(training, training, own=True), nearest(training, samples).first).value,
        area_under_curve(-nearest(training, samples).first, -nearest(held, samples).first).value,
    )


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, (0.063, 0.477, 0.520, 0.491)),
        (15, (0.110, 0.500, 0.540, 0.520)),
        (60, (0.243, 0.590, 0.617, 0.605)),
        (300, (1.0, 1.0, 1.0, 1.0)),
    ],
)
def test_scores_of_sets_with_planted_copies(count, expected):
    """As other points of this kind gave: their spread is that of 300 draws, about 0.03."""
    assert planted(count) == pytest.approx(expected, abs=0.0 if count == 300 else 0.09)


def test_the_interval_of_a_share_is_that_of_beta_quantiles():
    found = share_of(np.arange(40) < 3)
    assert found.value == 3 / 40
    assert found.count == 40
    assert found.low == pytest.approx(stats.beta.ppf(0.025, 3, 38))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 4, 37))
    none = share_of(np.zeros(100, bool))
    assert none.low == 0
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 100))


def test_the_area_is_the_share_of_pairs_and_its_interval_delongs():
    rng = np.random.default_rng(3)
    members, others = rng.integers(0, 6, 15) + 1.0, rng.integers(0, 6, 11) + 0.0
    pairs = np.array([[(a > b) + (a == b) / 2 for b in others] for a in members])
    found = area_under_curve(members, others)
    assert found.value == pytest.approx(pairs.mean())
    spread = 1.96 * (pairs.mean(1).var(ddof=1) / 15 + pairs.mean(0).var(ddof=1) / 11) ** 0.5
    assert found.low == pytest.approx(max(0, pairs.mean() - spread))
    assert found.high == pytest.approx(min(1, pairs.mean() + spread))


def test_densities_betray_what_was_learnt_by_heart():
    training, held, reference = points(20, 300, 4), points(21, 300, 4), points(22, 300, 4)

    def area(samples):
        scores = (density_ratio(x, samples, reference) for x in (training, held))
        return area_under_curve(*scores)

    independent, copies = area(points(23, 300, 4)), area(training + 0.02 * points(24, 300, 4))
    assert independent.low < 0.5 < independent.high
    assert copies.low > 0.55


def test_densities_in_one_dimension_are_those_of_formulas():
    samples, reference = points(30, 200, 1), points(31, 220, 1)
    at = np.linspace(-1, 1, 5)[:, None]

    def density(sets):
        scale = (sets.std(ddof=1)) * len(sets) ** (-1 / 5)
        return np.array([stats.norm.pdf(x, sets[:, 0], scale).mean() for x in at[:, 0]])

    assert density_ratio(at, samples, reference) == pytest.approx(np.log(density(samples) / density(reference)))


def test_too_few_images_give_no_density():
    with pytest.raises(ValueError, match="19 images give no density"):
        density_ratio(points(0, 5), points(1, 19), points(2, 30))
