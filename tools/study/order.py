"""The order in which a reader is asked, and what is shown on which side."""

from __future__ import annotations

import hmac
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tools.study.folder import Access, Question, Reader, Study


@dataclass(frozen=True)
class Asked:
    """A question as one reader sees it.

    Attributes:
        number: number of the question from 1, over all sections.
        question: question that is asked.
        images: names of the files, left (or above) first.
        number_in_section: number of the question in its section, for the page.
        section_total: number of questions in the section, for the page.
    """

    number: int
    question: Question
    images: tuple[str, ...]
    number_in_section: int
    section_total: int


def reading_order(study: Study, access: Access, reader: Reader, sitting: int) -> tuple[Asked, ...]:
    """Sections one after the other, the questions of each in an order of the reader's own.

    The order is drawn with the study's secret, so that it cannot be computed from the seed of a study.
    """
    key = hmac.digest(access.secret, f"order {reader.number} {sitting}".encode(), "sha256")
    rng = random.Random(key)
    sides = dict(zip((q.id for q in study.questions), reader.sides, strict=True))
    asked: list[Asked] = []
    for section in study.sections:
        questions = [question for question in study.questions if question.section == section]
        rng.shuffle(questions)
        for place, question in enumerate(questions, start=1):
            images = question.images[::-1] if sides[question.id] == "1" else question.images
            asked.append(Asked(len(asked) + 1, question, images, place, len(questions)))
    return tuple(asked)


def image_address(access: Access, sitting_key: str, number: int, slot: int) -> str:
    """The last part of an image's address: of one sitting and one question, so that readers cannot compare names."""
    return hmac.digest(access.secret, f"image {sitting_key} {number} {slot}".encode(), "sha256").hex()[:32]


def balanced_sides(sections: Sequence[str], first_listed: Sequence[bool], readers: int) -> list[str]:
    """Draw for every reader which questions show their images the other way round: a 0 or 1 for each.

    In each section of pairs, the real image (or that of the first model) is on the left in half of the questions. The
    second reader of two sees every pair mirrored, which balances each pair. Drawn from the system's randomness.

    Args:
        sections: section of every question.
        first_listed: True for every question whose real image, or image of the first model, is listed first in the
            manifest.
        readers: number of readers.
    """
    rng, plans = random.SystemRandom(), []
    for number in range(readers):
        if number % 2:
            mirrored = {"0": "1", "1": "0"}
            plans.append("".join(mirrored[side] for side in plans[-1]))
            continue
        left: dict[int, bool] = {}
        for section in dict.fromkeys(sections):
            places = [i for i, of in enumerate(sections) if of == section]
            lefts = [bool((i + number // 2) % 2) for i in range(len(places))]
            rng.shuffle(lefts)
            left.update(zip(places, lefts, strict=True))
        plans.append("".join("0" if left[i] == first_listed[i] else "1" for i in range(len(sections))))
    return plans
