"""What is trained on what, and tested on what: the rows of a table of usefulness."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REAL, AUGMENTED, SYNTHETIC, BOTH, ON_SYNTHETIC = "TRTR", "TRTR augmented", "TSTR", "real + synthetic", "TRTS"
BOTH_AUGMENTED = "real + synthetic augmented"
"""Ways: trained on real, on real with ordinary augmentation, on synthetic, on both, on both with ordinary augmentation,
all tested on real images; and trained on real, tested on synthetic ones."""

WAYS = {
    **{"trtr": REAL, "augmented": AUGMENTED, "tstr": SYNTHETIC, "both": BOTH, "both_augmented": BOTH_AUGMENTED},
    "trts": ON_SYNTHETIC,
}
"""What each is called where some are chosen."""

USUAL = tuple(way for way in WAYS.values() if way != BOTH_AUGMENTED)
"""Ways where none are chosen."""


@dataclass(frozen=True)
class Arm:
    """One training, but for its seed.

    Attributes:
        way: one of the ways.
        model: name of the synthetic set, "" without one.
        amount: number of real patients that are trained on, 0 for none.
    """

    way: str
    model: str = ""
    amount: int = 0

    @property
    def name(self) -> str:
        """Its name in tables."""
        return " ".join(filter(None, (self.way, self.model, f"{self.amount} patients" if self.amount else "")))


def ways_of(given: str | Sequence[str] | None) -> list[str]:
    """The ways that are asked for, such as ``trtr,tstr``; the usual ones without any. TRTR is always among them.

    Raises:
        ValueError: a name that is none of `WAYS`.
    """
    if given is None:
        return list(USUAL)
    words = given.split(",") if isinstance(given, str) else list(given)
    words = [str(word).strip().lower() for word in words]
    if odd := [word for word in words if word not in WAYS]:
        raise ValueError(f"ways has {', '.join(odd)}, expected some of {', '.join(WAYS)}")
    return [way for word, way in WAYS.items() if word in words or way == REAL]


def arms_of(models: Sequence[str], amounts: Sequence[int], ways: Sequence[str] = USUAL) -> list[Arm]:
    """Arms: each way for each amount of real patients and each model, those without synthetic images first.

    Args:
        models: names of the synthetic sets.
        amounts: numbers of real patients, the greatest of which is all of them.
        ways: ways that are wanted.
    """
    arms = [Arm(way, amount=amount) for way in (REAL, AUGMENTED) for amount in amounts]
    arms += [Arm(SYNTHETIC, model) for model in models]
    arms += [Arm(way, model, amount) for way in (BOTH, BOTH_AUGMENTED) for model in models for amount in amounts]
    arms += [Arm(ON_SYNTHETIC, model, max(amounts)) for model in models]
    return [arm for arm in arms if arm.way in ways]


def amounts_of(given: str | int | Sequence[str | int], patients: int, option: str = "amounts") -> list[int]:
    """Numbers of patients, or of samples: ``5,20,all``, sorted; more than there are is all of them.

    Args:
        given: numbers, or "all".
        patients: number of those that there are.
        option: name of what is given, for errors.

    Raises:
        ValueError: something that is no such number.
    """
    words = given.split(",") if isinstance(given, str) else [given] if isinstance(given, int) else list(given)
    found = set()
    for word in map(str, words):
        word = word.strip()
        if word != "all" and not (word.isdigit() and int(word) > 0):
            raise ValueError(f"{option} has {word!r}, expected whole numbers from 1, or all, such as 5,20,all")
        found.add(patients if word == "all" else min(int(word), patients))
    return sorted(found)


def chosen(subjects: Sequence[str], amount: int, seed: int, classes: Sequence[int] | None = None) -> list[int]:
    """Numbers of the cases of so many patients, which follow from the seed: those of fewer are among those of more.

    Args:
        subjects: patient of each case.
        amount: number of patients.
        seed: random seed.
        classes: class of each case, whose shares of the patients stay about the same, and of each of which there is a
            patient; that of a patient is the greatest of his cases'.

    Raises:
        ValueError: fewer patients than classes.
    """
    names = sorted(set(subjects))
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    if classes is not None:
        order = _alternating(order, subjects, classes, amount)
    kept = set(order[:amount])
    return [number for number, subject in enumerate(subjects) if subject in kept]


def _alternating(order: Sequence[str], subjects: Sequence[str], classes: Sequence[int], amount: int) -> list[str]:
    """Patients in an order in which each class comes once before any comes twice, and then by its share."""
    of: dict[str, int] = {}
    for subject, label in zip(subjects, classes, strict=True):
        of[subject] = max(int(label), of.get(subject, 0))
    count = Counter(of.values())
    if amount < len(count):
        raise ValueError(
            f"amounts has {amount} patients, but there are {len(count)} classes; a training needs them all"
        )
    met: Counter[int] = Counter()
    place = {}
    for subject in order:
        label = of[subject]
        place[subject] = (met[label] > 0, (met[label] + 0.5) / count[label])
        met[label] += 1
    return sorted(order, key=place.__getitem__)


def seed_of(arm: Arm, seed: int) -> int:
    """A random seed for an arm, other than that of other arms."""
    return int(hashlib.sha256(f"{arm.name} {seed}".encode()).hexdigest()[:8], 16)
