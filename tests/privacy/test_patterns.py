"""The search for changed copies, against correlations by loops, and among a thousand independent images."""

import numpy as np
import pytest
from scipy import ndimage

from tools.metrics.copies import copy_probability
from tools.privacy import patterns
from tools.privacy.images import normalised
from tools.privacy.patterns import PatternSearch, coarse
from tools.privacy.planted import planted


def person(seed, shape=(1, 72, 60), smooth=3.0):
    """An image of one person: a body that all have, with organs of their own."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    image = (sum(x**2 for x in axes) < rng.uniform(0.6, 0.75)).astype(np.float32)
    texture = ndimage.gaussian_filter(rng.normal(size=shape), [smooth if n > 1 else 0 for n in shape])
    return normalised(image * (1 + 0.35 * texture / texture.std()))


def test_the_correlation_is_the_largest_over_all_shifts(monkeypatch):
    """By rolling images and multiplying them, where all frequencies weigh the same."""
    monkeypatch.setattr(patterns, "SMOOTH", 1e9)
    monkeypatch.setattr(patterns, "FLOOR", 1e9)
    rng = np.random.default_rng(0)
    training = [rng.normal(size=(4, 6, 8)).astype(np.float32) for _ in range(3)]
    sample = np.roll(training[1], (1, 2, 3), (0, 1, 2)) + 0.3 * rng.normal(size=(4, 6, 8)).astype(np.float32)
    search = PatternSearch(training)
    unit = [image / np.linalg.norm(image) for image in (*training, sample)]
    shifts = [np.roll(unit[3], s, (0, 1, 2)) for s in np.ndindex(4, 6, 8)]
    best = max(float((unit[1] * one).sum()) for one in shifts)
    match = search.match(sample)
    assert match.index == 1
    assert match.correlation == pytest.approx(best, abs=1e-5)
    assert match.how == "shifted by -25%, -33%, -38%"


@pytest.mark.parametrize("shape", [(1, 72, 60), (20, 24, 28)])
def test_mirror_images_of_every_axis_are_named(shape):
    training = [coarse(person(seed, shape)) for seed in range(4)]
    search = PatternSearch(training)
    names = ("head-foot", "front-back", "left-right")
    axes = [axis for axis in range(3) if shape[axis] > 1]
    for mirrored in ([axes[-1]], axes[:1], axes):
        match = search.match(np.flip(training[2], mirrored))
        assert match.index == 2
        assert match.correlation == pytest.approx(1, abs=1e-4)
        assert match.how == f"mirrored ({', '.join(names[axis] for axis in mirrored)})"


def test_brightness_does_not_matter_and_itself_is_left_out():
    training = [coarse(person(seed)) for seed in range(4)]
    search = PatternSearch(training, groups=[0, 0, 1, 2])
    assert search.match(3 * training[0]).correlation == pytest.approx(1, abs=1e-4)
    assert search.match(training[0], without=0).index in (2, 3)
    assert search.match(training[0]).second < 0.9  # that of another patient


def test_images_of_one_shape_are_needed():
    with pytest.raises(ValueError, match="expected images of one shape"):
        PatternSearch([np.zeros((1, 4, 4)), np.zeros((1, 4, 6))])


def test_one_copy_of_each_kind_among_a_thousand_is_found_and_nobody_else_accused():
    training = [person(seed) for seed in range(150)]
    search = PatternSearch([coarse(image) for image in training])
    samples = [coarse(person(1000 + seed)) for seed in range(1000)]
    kinds = planted(training[77])
    for place, copy in enumerate(kinds.values()):
        samples[100 * place] = coarse(normalised(copy))
    own, _ = search.neighbours([coarse(image) for image in training], own=True)
    found, _ = search.neighbours(samples)
    suspects = np.flatnonzero(copy_probability(found, own) <= 0.05 / len(samples))
    assert suspects.tolist() == [100 * place for place in range(len(kinds))]
    assert set(found.index[suspects]) == {77}
