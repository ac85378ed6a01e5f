"""The audit: each sample against all training images, sets against sets, and what so many images can show at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from tqdm import tqdm

from tools.features.space import FeatureSpace
from tools.metrics import copies
from tools.metrics.copies import Neighbours, Share, copy_probability, nearest
from tools.metrics.membership import Membership, by_patient, membership
from tools.privacy.images import Images, features_of, normalised
from tools.privacy.patterns import Match, PatternSearch, coarse
from tools.privacy.planted import planted

PATTERN = "pattern"
"""Name of the comparison by images; others are named by their feature space."""


@dataclass(frozen=True)
class Finding:
    """One sample beside the training image that it is most like.

    Attributes:
        sample: number of the sample.
        training: number of the training image, or of the other sample where doubles are looked for.
        probability: share of independent images that come as near to some training image, after looking in every way.
        by: name of the comparison in which it is nearest.
        distance: distance in that comparison.
        ratio: quotient of that and the distance to the next case.
        how: words for what was done to the sample in the comparison by images.
    """

    sample: int
    training: int
    probability: float
    by: str
    distance: float
    ratio: float
    how: str


@dataclass(frozen=True)
class InSpace:
    """What sets as a whole show in one comparison; None where there is no held-out set, or too small a one.

    Attributes:
        distances: [samples] distance of each sample to the training set.
        own: [training images] distance of each to the others.
        held_out: [held-out images] distance of each to the training set; empty without any.
        close: share of samples nearer than the 5 percent quantile of held-out images.
        nearer: share of samples nearer to the training than to the held-out set.
        identifiability: share of training images whose nearest sample is nearer than their nearest other.
        by_distance: membership guessed by the distance to the nearest sample.
        by_density: membership guessed by DOMIAS.
    """

    distances: np.ndarray
    own: np.ndarray
    held_out: np.ndarray
    close: Share | None = None
    nearer: Share | None = None
    identifiability: Share | None = None
    by_distance: Membership | None = None
    by_density: Membership | None = None


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        findings: every sample, the nearest first.
        suspects: findings that are too near, at the stated rate.
        doubles: samples that are too near to another sample, with that one.
        spaces: results by comparison.
        planted: kind of changed copy -> how many of how many were found.
        rate: probability of accusing any sample of an independent set.
        limit: probability of a finding below which it is a suspect.
        most_missed: upper end of the 95 percent interval of the share of copies that the generator makes.
    """

    findings: tuple[Finding, ...]
    suspects: tuple[Finding, ...]
    doubles: tuple[Finding, ...]
    spaces: dict[str, InSpace]
    planted: dict[str, tuple[int, int]] = field(default_factory=dict)
    rate: float = 0.05
    limit: float = 0.0
    most_missed: float = 1.0


def audit(
    training: Images,
    synthetic: Images,
    held_out: Images | None = None,
    rate: float = 0.05,
    plant: Mapping[int, np.ndarray] | None = None,
    spaces: Sequence[FeatureSpace] = (),
    seed: int = 0,
) -> Audit:
    """Look for copies of training images among samples.

    Every sample is compared with every training image by `PatternSearch` and in every feature space. What is unusually
    near is known from real images: training images beside those of other patients, and held-out ones. A sample is a
    suspect if its probability, times the numbers of comparisons and of samples, is below ``rate`` (Bonferroni): in a
    set that holds no copy, however large, any sample at all is accused with that probability at the most.

    Args:
        training: images that the generator was trained on.
        synthetic: images that it made.
        held_out: real images of other patients that it was not trained on; None goes without what needs them.
        rate: probability of accusing any of the samples although none is a copy.
        plant: training images [D, H, W] in [-1, 1] by their number, of which changed copies are planted.
        spaces: feature spaces of the sets, for those copies.
        seed: random seed of subsets and of noise.

    Raises:
        ValueError: fewer than 21 patients in the training set.
    """
    ways = _ways(training, synthetic, held_out)
    rng = np.random.default_rng(seed)
    limit = rate / len(synthetic)
    findings = sorted((_finding(i, ways) for i in range(len(synthetic))), key=lambda one: (one.probability, one.ratio))
    suspects = tuple(one for one in findings if one.probability <= limit)
    return Audit(
        tuple(findings),
        suspects,
        _doubles(training, synthetic, ways, limit),
        {way.name: _in_space(way, training, synthetic, held_out, rng) for way in ways},
        _power(plant or {}, spaces, ways, training, limit, seed),
        rate,
        limit,
        copies.share_of(np.arange(len(synthetic)) < len(suspects)).high,
    )


@dataclass(frozen=True)
class _Way:
    """A comparison with the training images: of training images of other patients, of held-out ones, of samples."""

    name: str
    own: Neighbours
    found: Neighbours
    held_out: Neighbours | None
    search: PatternSearch | None = None
    matches: Sequence[Match] = ()
    number: int = 1  # of comparisons there are

    def probability(self, found: Neighbours) -> np.ndarray:
        """After looking in all ways."""
        known = [self.own] if self.held_out is None else [self.own, self.held_out]
        references = Neighbours(*map(np.concatenate, zip(*known, strict=True)))
        return np.minimum(1, self.number * copy_probability(found, references))


def _ways(training: Images, synthetic: Images, held_out: Images | None) -> list[_Way]:
    number = 1 + len(training.features)
    search = PatternSearch(training.grids, training.patients)
    own, _ = search.neighbours(training.grids, own=True, progress=_bar("Training images to each other"))
    held = (
        None if held_out is None else search.neighbours(held_out.grids, progress=_bar("Held-out to training images"))[0]
    )
    found, matches = search.neighbours(synthetic.grids, progress=_bar("Samples to training images"))
    ways = [_Way(PATTERN, own, found, held, search, matches, number)]
    for name, known in training.features.items():
        to_known = partial(nearest, cases=known, groups=training.patients)
        held = None if held_out is None else to_known(held_out.features[name])
        ways.append(_Way(name, to_known(known, own=True), to_known(synthetic.features[name]), held, number=number))
    return ways


def _bar(description: str):
    return lambda indices: tqdm(indices, desc=description, unit="image", disable=None)


def _finding(index: int, ways: Sequence[_Way]) -> Finding:
    """The comparison in which a sample is nearest."""
    chances = [way.probability(way.found)[index] for way in ways]
    way = ways[int(np.argmin(chances))]
    near, match = int(way.found.index[index]), ways[0].matches[index]
    distance, ratio = float(way.found.first[index]), float(way.found.ratio[index])
    return Finding(
        index, near, float(min(chances)), way.name, distance, ratio, match.how if near == match.index else ""
    )


def _doubles(training: Images, synthetic: Images, ways: Sequence[_Way], limit: float) -> tuple[Finding, ...]:
    """Samples nearer to another sample than training images of two patients are, in any of the comparisons.

    The more samples there are, the nearer is the nearest: the probability grows with their number over that of the
    training images.
    """
    more = max(1.0, len(synthetic) / len(training)) * len(ways)
    found: dict[int, Finding] = {}
    for way in ways if len(synthetic) >= 3 else ():
        if way.search is not None:
            search = PatternSearch(synthetic.grids, like=way.search)
            among, matches = search.neighbours(synthetic.grids, own=True, progress=_bar("Samples to each other"))
        else:
            features = synthetic.features[way.name]
            among, matches = nearest(features, features, own=True), None
        chances = np.minimum(1, more * copies.tail_probability(among.first, way.own.first))
        for i in np.flatnonzero(chances <= limit).tolist():
            how = "" if matches is None else matches[i].how
            one = Finding(
                i, int(among.index[i]), float(chances[i]), way.name, float(among.first[i]), float(among.ratio[i]), how
            )
            if i not in found or one.probability < found[i].probability:
                found[i] = one
    return tuple(sorted(found.values(), key=lambda one: (one.probability, one.distance)))


def _in_space(
    way: _Way, training: Images, synthetic: Images, held_out: Images | None, rng: np.random.Generator
) -> InSpace:
    """What the sets show as a whole, as far as they suffice."""
    if way.held_out is None:
        return InSpace(way.found.first, way.own.first, np.array([]))
    result: dict[str, Share | Membership] = {"close": copies.close_share(way.found, way.held_out)}
    if way.name != PATTERN and min(len(synthetic), len(held_out)) >= 3:
        t, r, s = (images.features[way.name] for images in (training, held_out, synthetic))
        some_t, some_r = _equally_many(t, r, rng)
        result["nearer"] = copies.nearer_share(nearest(s, some_t).first, nearest(s, some_r).first)
        some_t, some_s = _equally_many(t, s, rng)
        own, to_samples = nearest(some_t, some_t, own=True), nearest(some_t, some_s).first
        result["identifiability"] = copies.identifiability(own, to_samples)
        of_t, of_r = training.patients, held_out.patients
        if min(len(np.unique(of_t)), len(np.unique(of_r))) >= 2:
            found = by_patient(-nearest(t, s).first, of_t), by_patient(-nearest(r, s).first, of_r)
            result["by_distance"] = membership(*found)
        people = rng.permutation(np.unique(of_r))
        is_reference = np.isin(of_r, people[: len(people) // 2])
        reference, asked = r[is_reference], r[~is_reference]
        if min(len(reference), len(s)) >= copies.FEWEST and len(people) >= 4:
            found = (copies.density_ratio(x, s, reference) for x in (t, asked))
            result["by_density"] = membership(*map(by_patient, found, (of_t, of_r[~is_reference])))
    return InSpace(way.found.first, way.own.first, way.held_out.first, **result)


def _equally_many(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    size = min(len(x), len(y))
    return tuple(of[np.sort(rng.permutation(len(of))[:size])] for of in (x, y))


def _power(
    plant: Mapping[int, np.ndarray],
    spaces: Sequence[FeatureSpace],
    ways: Sequence[_Way],
    training: Images,
    limit: float,
    seed: int,
) -> dict[str, tuple[int, int]]:
    """How many planted copies of each kind are suspects beside the case that they are of."""
    hits: dict[str, list[bool]] = {}
    for number, image in plant.items():
        for kind, changed in planted(image, seed + number).items():
            changed = normalised(changed)
            features = features_of(changed, spaces)
            chances = [1.0]
            for way in ways:
                if way.search is not None:
                    found, _ = way.search.neighbours([coarse(changed)])
                else:
                    found = nearest(features[way.name], training.features[way.name], groups=training.patients)
                if found.index[0] == number:
                    chances.append(float(way.probability(found)[0]))
            hits.setdefault(kind, []).append(min(chances) <= limit)
    return {kind: (sum(found), len(found)) for kind, found in hits.items()}
