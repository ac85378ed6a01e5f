"""Attacks on generators of points: one that copies its training is found, an independent one is not."""

import numpy as np
import pytest
from scipy import stats

from tools.metrics.copies import density_ratio
from tools.metrics.membership import membership
from tools.privacy.attacks import ASSUMES, DENSITY, DISTANCE, attacks_of, conclusion_of, record_of, row_of
from tools.privacy.audit import audit
from tools.privacy.images import Images
from tools.privacy.white_box import DENOISING, Evidence


def people(seed, count, images=1):
    """A set of people with so many images each, as features in 4 dimensions and as grids of noise."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(count, 4)), images, axis=0)
    features = centres + (0.02 * rng.normal(size=centres.shape) if images > 1 else 0)
    grids = tuple(rng.normal(size=(1, 4, 4)).astype(np.float32) for _ in centres)
    names = tuple(f"{seed}_{n}" for n in range(len(centres)))
    return Images(names, names, np.repeat(np.arange(count), images), grids, {"points": features.astype(np.float32)})


def made(features):
    rng = np.random.default_rng(9)
    names = tuple(f"s{n}" for n in range(len(features)))
    grids = tuple(rng.normal(size=(1, 4, 4)).astype(np.float32) for _ in names)
    return Images(names, names, np.arange(len(names)), grids, {"points": features.astype(np.float32)})


@pytest.fixture(scope="module")
def found():
    training, held_out = people(0, 60), people(1, 80)
    copies = training.features["points"] + 0.02 * np.random.default_rng(2).normal(size=(60, 4))
    sets = {"copyist": made(copies), "independent": made(people(3, 60).features["points"])}
    return {name: attacks_of(audit(training, samples, held_out).spaces) for name, samples in sets.items()}


def test_a_copyist_is_found_by_distance_and_by_density(found):
    distance, density = found["copyist"]
    assert (distance.name, density.name) == (DISTANCE, DENSITY)
    assert distance.found.auc.value > 0.98
    assert distance.found.caught.value > 0.9
    assert distance.found.caught.low > distance.found.by_chance
    assert density.succeeds
    assert (distance.found.members, distance.found.others, density.found.others) == (60, 80, 40)
    assert "2 of 2 tests of membership tell training patients from others" in conclusion_of(found["copyist"])


def test_an_independent_generator_is_not(found):
    for attack in found["independent"]:
        assert attack.found.auc.low < 0.5 < attack.found.auc.high
        assert not attack.succeeds
    said = conclusion_of(found["independent"])
    assert "None of 2 tests of membership tells training patients from others" in said
    assert f"above {max(one.found.notable for one in found['independent']):.2f}" in said


def test_a_patient_with_several_images_counts_once():
    training, held_out = people(0, 30, images=3), people(1, 44, images=2)
    (distance, density) = attacks_of(audit(training, made(people(3, 40).features["points"]), held_out).spaces)
    assert (distance.found.members, distance.found.others) == (30, 44)
    assert (density.found.members, density.found.others) == (30, 22)


def test_domias_is_the_ratio_of_densities_by_loops():
    """Gaussian kernels of Scott's width in the reference's whitened principal components, written out."""
    rng = np.random.default_rng(4)
    reference, samples, asked = (rng.normal(size=(n, 3)) @ np.diag([3.0, 1.0, 0.5]) for n in (60, 50, 4))
    centred = reference - reference.mean(0)
    values, axes = np.linalg.eigh(centred.T @ centred / len(reference))
    white = [(x - reference.mean(0)) @ (axes / np.sqrt(values)) for x in (asked, samples, reference)]

    def density(x, points):
        covariance = np.cov(points.T) * len(points) ** (-2 / (3 + 4))
        return np.mean([stats.multivariate_normal.pdf(x, point, covariance) for point in points])

    expected = [np.log(density(x, white[1]) / density(x, white[2])) for x in white[0]]
    assert density_ratio(asked, samples, reference) == pytest.approx(expected, rel=1e-9)


def test_each_attack_says_what_it_assumes_and_what_so_few_can_show(found):
    evidence = Evidence(DENOISING, "mine, model.pt", np.arange(5.0) + 10, np.arange(5.0))
    (attack,) = attacks_of({}, evidence)
    assert attack.found == membership(evidence.members, evidence.others)
    record = record_of(attack)
    assert record["assumes_that_who_attacks"].startswith("has the denoiser's weights")
    assert record["auc"]["value"] == record["caught"]["value"] == 1
    assert record["by_chance"] == pytest.approx(1 / 6)
    assert row_of(attack)["accused"] == "0 of 5: at most 0.52"  # Clopper and Pearson of none of 5
    assert {row_of(one)["assumes"] for one in found["copyist"]} == {ASSUMES[DISTANCE], ASSUMES[DENSITY]}
    assert conclusion_of(()) == ""
