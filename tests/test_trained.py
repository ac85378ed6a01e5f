"""Trained bundles with their own images: whose those are, and how they are named."""

import shutil
from types import SimpleNamespace

import pytest

from tests.tiny import BUNDLES, REPOSITORY
from tools.data.provenance import subject_digest
from tools.trained import bundle_of, check_patients, chosen, evenly


def test_data_of_others_are_refused():
    known = [subject_digest("p1"), subject_digest("p2")]
    check_patients("training", ["p1", "p2"], known)
    check_patients("held-out", ["p3"], known)
    with pytest.raises(ValueError, match="1 patients of the training images, such as p3, are not in the weights'"):
        check_patients("training", ["p1", "p3"], known)
    with pytest.raises(ValueError, match="1 patients of the held-out images, such as p2, were in the weights'"):
        check_patients("held-out", ["p2", "p4"], known)


def test_slices_of_a_patient_are_taken_at_even_distances():
    data = SimpleNamespace(data=[{"id": f"s{n}", "subject": "a" if n < 9 else "b"} for n in range(11)])
    assert chosen(data, 3) == ([0, 4, 8, 9, 10], ["a", "a", "a", "b", "b"])
    assert [evenly(5, limit) for limit in (1, 2, 5, 9)] == [[0], [0, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


def test_bundles_are_named_or_given_by_folder(tmp_path):
    name = BUNDLES[0]
    shutil.copytree(REPOSITORY / "bundles" / name / "configs", tmp_path / "mine/configs")
    assert bundle_of(name).folder == REPOSITORY / "bundles" / name
    assert bundle_of(str(tmp_path / "mine")).name == "mine"
    with pytest.raises(ValueError, match="runs weights of others"):
        bundle_of("maisi_ct")
