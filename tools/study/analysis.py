"""The numbers of a study: what the papers print, and what should stand beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tools.study.folder import SURVEY_ANSWERS
from tools.study.learning import trend
from tools.study.scoring import Result, Scored, matrix
from tools.study.statistics import (
    clustered_test,
    fleiss_kappa,
    homogeneity_test,
    origin_test,
    preference_estimate,
    preference_test,
    proportion,
    survey_test,
)

CANNOT_TELL = SURVEY_ANSWERS[2]


def analysed(result: Result, seed: int = 0) -> dict[str, Any]:
    """All numbers of one study, ready for JSON; a number that cannot be had is {"missing": why}."""
    found: dict[str, Any] = {
        "title": result.study.title,
        "kind": result.study.kind,
        "models": list(result.models),
        "closed": result.closed,
        "readers": result.readers,
        "sittings": list(result.sittings),
    }
    if not result.answers:
        return found | {"sections": {}}
    parts = {"origin": _origin, "preference": _preference, "survey": _survey}
    found["sections"] = {
        section: parts[section](result.of(section), result, seed) | {"times": _times(result.of(section), seed)}
        for section in result.study.sections
    }
    return found


def _origin(answers: Sequence[Scored], result: Result, seed: int) -> dict[str, Any]:
    """Section 1 of the two-alternative forced choice: accuracy and difficulty (Shiri et al., 3.2 and Fig. 3)."""
    difficulty = [sum(a.difficulty == n for a in answers) for n in range(1, 6)]
    left = [a for a in answers if a.left == "real"]
    right = [a for a in answers if a.right == "real"]
    by_model = {model: [a for a in answers if model in (a.left, a.right)] for model in result.models}
    return {
        "questions": len({a.question for a in answers}),
        "accuracy": _share(answers, lambda a: a.correct, seed),
        "accuracy_by_model": {m: _share(of, lambda a: a.correct, seed) for m, of in by_model.items() if of},
        "sensitivity": _share(left, lambda a: a.correct, seed),
        "specificity": _share(right, lambda a: a.correct, seed),
        "difficulty": difficulty,
        "difficulty_percent": [100 * n / len(answers) for n in difficulty],
        "kappa": _kappa(answers, ("real", "generated"), lambda a: "real" if a.choice == "real" else "generated"),
        "learning": _trend(answers, lambda a: float(a.correct), seed),
    }


def _preference(answers: Sequence[Scored], result: Result, seed: int) -> dict[str, Any]:
    """Section 2: Table 2 of Shiri et al., and tests of what it was taken to show."""
    first, second = result.models
    questions = sorted({a.question for a in answers})
    votes = [
        [sum(a.question == q and a.choice == model for a in answers) for model in (first, second)] for q in questions
    ]
    totals = np.sum(votes, axis=0)
    table = {
        model: {
            "total": int(totals[i]),
            "mean": float(np.mean([v[i] for v in votes])),
            "sd": float(np.std([v[i] for v in votes], ddof=1)) if len(votes) > 1 else None,
        }
        for i, model in enumerate((first, second))
    }
    choices = matrix(list(answers), lambda a: float(a.choice == first))
    homogeneity = _test(homogeneity_test, votes)
    if len(choices) == 1:
        homogeneity = {"missing": "with one reader each pair has one vote, which is not divided"}
    return {
        "questions": len(questions),
        "votes": dict(zip(questions, votes, strict=True)),
        "votes_table": table,
        "share_of": first,
        "homogeneity": homogeneity,
        "binomial": _test(preference_test, int(totals[0]), int(totals.sum())),
        "estimate": _too_few(choices) or _interval(preference_estimate, choices, seed=seed),
        "clustered": _too_few(choices) or _test(clustered_test, choices),
        "kappa": _kappa(answers, (first, second), lambda a: a.choice),
        "left": _share(answers, lambda a: a.choice == a.left, seed),
        "learning": _trend(answers, lambda a: float(a.choice == first), seed),
    }


def _survey(answers: Sequence[Scored], result: Result, seed: int) -> dict[str, Any]:
    """Tables 2 and 3 of Crespi et al. for one survey. Synthetic is what sensitivity looks for."""
    counts = survey_counts(answers)
    decided = [a for a in answers if a.choice != CANNOT_TELL]
    table = {}
    for name, of in (("cannot tell counts as wrong", answers), ("cannot tell is left out", decided)):
        table[name] = {
            "all": _share(of, lambda a: a.correct, seed),
            "real": _share([a for a in of if a.left == "real"], lambda a: a.correct, seed),
            "synthetic": _share([a for a in of if a.left != "real"], lambda a: a.correct, seed),
        }
    return {
        "questions": len({a.question for a in answers}),
        "counts": {"real": counts[0], "synthetic": counts[1]},
        "right": table,
        "sensitivity": {name: row["synthetic"] for name, row in table.items()},
        "specificity": {name: row["real"] for name, row in table.items()},
        "binomial": _test(origin_test, _filled([row[:2] for row in counts])),
        "multinomial": _test(origin_test, _filled(counts)),
        "kappa": _kappa(answers, SURVEY_ANSWERS, lambda a: a.choice),
        "learning": _trend(answers, lambda a: float(bool(a.correct)), seed),
        "reasons": [
            {"reader": a.reader, "scan": a.left, "source": a.left_source, "answer": a.choice, "reason": a.reason}
            for a in answers
            if a.reason
        ],
    }


def survey_counts(answers: Sequence[Scored]) -> list[list[int]]:
    """[real or synthetic, answer], answers in the order of `SURVEY_ANSWERS`."""
    return [
        [sum((a.left == "real") == real and a.choice == answer for a in answers) for answer in SURVEY_ANSWERS]
        for real in (True, False)
    ]


def compared_surveys(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Table 3 of Crespi et al.: real against synthetic over all surveys, and every two surveys' answers.

    Two surveys are compared by how often each answer was given, whatever the scan.
    """
    surveys = [np.array(survey_counts(r.of("survey"))) for r in results if r.of("survey")]
    names = [r.study.title for r in results if r.of("survey")]
    if len(surveys) < 2:
        return []
    every = sum(surveys)
    rows = [
        {
            "comparison": "all surveys: real vs synthetic",
            "binomial": _test(origin_test, _filled(every[:, :2])),
            "multinomial": _test(origin_test, _filled(every)),
        }
    ]
    for i, k in combinations(range(len(surveys)), 2):
        answers = [surveys[i].sum(0), surveys[k].sum(0)]
        rows.append(
            {
                "comparison": f"survey {i + 1} ({names[i]}) vs survey {k + 1} ({names[k]})",
                "binomial": _test(survey_test, *_filled([row[:2] for row in answers])),
                "multinomial": _test(survey_test, *_filled(answers)),
            }
        )
    return rows


def _times(answers: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Seconds per question, as browsers measured them (the server's where a browser did not)."""
    timed = [(a, seconds_of(a)) for a in answers if seconds_of(a) is not None]
    if not timed:
        return {"missing": "no times were recorded"}
    seconds = [s for _, s in timed]
    by_reader = {
        reader: float(np.median([s for a, s in timed if a.reader == reader]))
        for reader in dict.fromkeys(a.reader for a, _ in timed)
    }
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return {
        "median": float(middle),
        "quartiles": [float(low), float(high)],
        "median_by_reader": by_reader,
        "learning": _trend([a for a, _ in timed], lambda a: float(np.log2(max(seconds_of(a), 1e-3))), seed),
    }


def seconds_of(answer: Scored) -> float | None:
    """Time taken, in seconds."""
    milliseconds = answer.server_ms if answer.client_ms is None else answer.client_ms
    return None if milliseconds is None else milliseconds / 1000


def _share(answers: Sequence[Scored], chosen: Callable[[Scored], Any], seed: int) -> dict[str, Any]:
    """A share with Wilson's interval, and with one that respects that answers share readers and images."""
    count, total = sum(bool(chosen(a)) for a in answers), len(answers)
    found = {"count": count, "total": total} | _interval(proportion, count, total)
    if total:
        right = matrix(list(answers), lambda a: float(bool(chosen(a))))
        found["clustered"] = _too_few(right) or _interval(preference_estimate, right, seed=seed)
    return found


def _too_few(choices: np.ndarray) -> dict[str, Any] | None:
    """Return why what respects readers and questions cannot be computed from [readers, questions]; None if it can."""
    readers, questions = choices.shape
    if min(readers, questions) > 1:
        return None
    return {"missing": f"it takes 2 readers and 2 questions or more, and there are {readers} and {questions}"}


def _kappa(answers: Sequence[Scored], kinds: Sequence[str], kind: Callable[[Scored], str]) -> dict[str, Any]:
    """Fleiss' kappa over the questions."""
    if len({a.reader for a in answers}) == 1:
        return {"missing": "one reader has nobody to agree with"}
    ratings = [
        [sum(a.question == q and kind(a) == k for a in answers) for k in kinds]
        for q in sorted({a.question for a in answers})
    ]
    try:
        return {"value": fleiss_kappa(ratings)}
    except ValueError as error:
        return {"missing": str(error)}


def _trend(answers: Sequence[Scored], outcome: Callable[[Scored], float], seed: int) -> dict[str, Any]:
    try:
        readers, order = [a.reader for a in answers], [a.number for a in answers]
        return trend(readers, order, [outcome(a) for a in answers], seed=seed)._asdict()
    except ValueError as error:
        return {"missing": str(error)}


def _test(test: Callable, *arguments: Any) -> dict[str, Any]:
    try:
        return test(*arguments)._asdict()
    except ValueError as error:
        return {"missing": str(error)}


def _interval(estimate: Callable, *arguments: Any, **options: Any) -> dict[str, Any]:
    try:
        return estimate(*arguments, **options)._asdict()
    except ValueError as error:
        return {"missing": str(error)}


def _filled(counts: Sequence[Sequence[int]]) -> np.ndarray:
    """Return a table without the answers that nobody gave, which no test of counts takes."""
    table = np.asarray(counts)
    return table[:, table.sum(0) > 0]
