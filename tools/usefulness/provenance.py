"""Whether a generator has seen the patients that a segmenter is tested on: then nothing that comes out counts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tools.data.provenance import subject_digest
from tools.engines.weights import settings_in
from tools.torch_files import read_state_dict


class LeakageError(ValueError):
    """Patients of the test were in the training of a generator."""


def check_leakage(name: str, weights: str, test_subjects: Collection[str]) -> str:
    """Compare the patients that weights say they were trained on with those of the test.

    Args:
        name: name of the model, for messages.
        weights: file of the generator's weights, `model.pt`.
        test_subjects: names of the patients of the test.

    Returns:
        A sentence for the report.

    Raises:
        LeakageError: some are the same.
        ValueError: the weights do not say whom they were trained on.
        FileNotFoundError: there is no such file.
    """
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{name}: there are no weights at {path}; give the model.pt that made its images")
    trained = settings_in(read_state_dict(path)).get("data", {}).get("subjects")
    if trained is None:
        raise ValueError(
            f"{name}: {path} does not say which patients it was trained on; give its images as a folder, without "
            "weights (python -m tools generate makes one), to go on without the check, and say so with the result"
        )
    seen = sorted(subject for subject in test_subjects if subject_digest(subject) in set(trained))
    if seen:
        raise LeakageError(
            f"{name}: {len(seen)} of {len(test_subjects)} patients of the test were in the generator's training, such "
            f"as {seen[0]}; test on others, or train it without them"
        )
    return (
        f"{name}: none of the {len(test_subjects)} patients of the test is among the {len(trained)} it was trained on"
    )
