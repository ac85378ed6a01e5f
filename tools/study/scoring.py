"""Answers joined with the key: who chose what, and whether it was right. The only place where the key is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.study.database import Answer, Database
from tools.study.folder import ANSWERS, Question, Study, load_access, load_key, load_study


@dataclass(frozen=True)
class Scored:
    """One answer of a sitting that counts.

    Attributes:
        reader: name.
        number: number of the question in the reader's order, from 1.
        section: section of the question.
        question: question that was asked.
        plane: plane of the images.
        left: origin of the left image: "real" or a model.
        right: origin of the right image; empty for a scan.
        left_source: volume of the left image.
        right_source: volume of the right image.
        choice: origin of the chosen image, or the answer of a survey.
        correct: True if the choice was right; None for a preference. "Cannot tell" is not right.
        difficulty: rating from 1 to 5, in section 1.
        reason: reason in words.
        client_ms: time taken in the browser, see `tools.study.database.Answer`.
        server_ms: time taken as the server sees it.
    """

    reader: str
    number: int
    section: str
    question: str
    plane: str
    left: str
    right: str
    left_source: str
    right_source: str
    choice: str
    correct: bool | None
    difficulty: int | None
    reason: str
    client_ms: float | None
    server_ms: float | None


@dataclass(frozen=True)
class Result:
    """What a study has found.

    Attributes:
        folder: folder of the study.
        study: its manifest.
        models: names, the first one first.
        answers: answers of the sittings that count.
        sittings: every sitting: reader, state, reason, answered, counted, and which of the reader's it is.
        closed: True if the study is closed.
    """

    folder: Path
    study: Study
    models: tuple[str, ...]
    answers: tuple[Scored, ...]
    sittings: tuple[dict[str, Any], ...]
    closed: bool

    def of(self, section: str) -> list[Scored]:
        """Answers of one section."""
        return [answer for answer in self.answers if answer.section == section]

    @property
    def readers(self) -> list[str]:
        """Names of the readers whose sittings count."""
        return list(dict.fromkeys(answer.reader for answer in self.answers))


def score(folder: str | os.PathLike, database: str | os.PathLike | None = None) -> Result:
    """Join a study's answers with its key. Only finished sittings count.

    Raises:
        FileNotFoundError: there is no study, no key or no answers.
    """
    study, access, key = load_study(folder), load_access(folder), load_key(folder)
    path = Path(database or Path(folder) / ANSWERS)
    if not path.is_file():
        raise FileNotFoundError(f"{path.absolute()} does not exist; the study has not been served yet")
    kept = Database(path, study.fingerprint)
    names = {reader.number: reader.name for reader in access.readers}
    questions = {question.id: question for question in study.questions}
    answers, sittings, turns = [], [], dict.fromkeys(names, 0)
    for sitting in kept.sittings():
        given = kept.answers(sitting.id)
        turns[sitting.reader] += 1
        counted = sitting.state == "finished"
        sittings.append(
            {
                "reader": names[sitting.reader],
                "sitting": turns[sitting.reader],
                "state": sitting.state,
                "reason": sitting.reason,
                "answered": len(given),
                "questions": len(questions),
                "counted": counted,
                "minutes": None if sitting.ended is None else (sitting.ended - sitting.started) / 60,
            }
        )
        if counted:
            answers += [_scored(names[sitting.reader], a, questions[a.question], key["images"]) for a in given]
    return Result(Path(folder), study, tuple(key["models"]), tuple(answers), tuple(sittings), kept.closed() is not None)


def _scored(reader: str, answer: Answer, question: Question, images: dict[str, dict[str, str]]) -> Scored:
    shown = [images[name] for name in answer.images.split()]
    chosen = images[answer.choice]["origin"] if answer.choice in images else answer.choice
    if question.section == "origin":
        correct = chosen == "real"
    elif question.section == "survey":
        correct = chosen == ("real" if shown[0]["origin"] == "real" else "synthetic")
    else:
        correct = None
    second = shown[1] if len(shown) > 1 else {"origin": "", "source": ""}
    return Scored(
        reader=reader,
        number=answer.number,
        section=question.section,
        question=question.id,
        plane=question.plane,
        left=shown[0]["origin"],
        right=second["origin"],
        left_source=shown[0]["source"],
        right_source=second["source"],
        choice=chosen,
        correct=correct,
        difficulty=answer.difficulty,
        reason=answer.reason,
        client_ms=answer.client_ms,
        server_ms=answer.server_ms,
    )


def matrix(answers: list[Scored], value: Any) -> np.ndarray:
    """[readers, questions] of ``value(answer)``, NaN where a reader has not answered."""
    readers = {name: i for i, name in enumerate(dict.fromkeys(a.reader for a in answers))}
    questions = {name: i for i, name in enumerate(sorted({a.question for a in answers}))}
    table = np.full((len(readers), len(questions)), np.nan)
    for answer in answers:
        table[readers[answer.reader], questions[answer.question]] = value(answer)
    return table
