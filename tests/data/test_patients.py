"""Patients of members: parts that share none, draws that follow from the seed, and whole patients in any case."""

import numpy as np
import pytest

from tools.data.patients import patients_of

ITEMS = [{"id": f"{subject}_{scan}", "subject": f"p{subject}"} for subject in range(100) for scan in range(2)]


def subjects(items):
    return {item["subject"] for item in items}


def test_all_have_all():
    assert patients_of(ITEMS, "all", 2, 3) == ITEMS


def test_parts_are_all_of_it_and_share_nobody():
    parts = [subjects(patients_of(ITEMS, "partition", member, 3, seed=5)) for member in (1, 2, 3)]
    assert sorted(len(part) for part in parts) == [33, 33, 34]
    assert set().union(*parts) == subjects(ITEMS)
    assert parts[0] != subjects(patients_of(ITEMS, "partition", 1, 3, seed=6))


def test_a_draw_has_about_63_percent_and_both_scans_of_each():
    shares = []
    for member in range(1, 21):
        drawn = patients_of(ITEMS, "bootstrap", member, 20)
        assert len(drawn) == 2 * len(subjects(drawn))
        shares.append(len(subjects(drawn)) / 100)
    assert np.mean(shares) == pytest.approx(1 - (1 - 1 / 100) ** 100, abs=0.02)
    assert len(set(shares)) > 1
    assert patients_of(ITEMS, "bootstrap", 3, 20) == patients_of(ITEMS, "bootstrap", 3, 20)


def test_who_has_no_name_is_known_by_the_case():
    assert len(patients_of([{"id": "a"}, {"id": "b"}], "partition", 1, 2)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("half", 1, 2), "expected one of all, bootstrap, partition"),
        (("all", 3, 2), "member is 3, expected 1 to 2"),
        (("partition", 1, 101), "100 patients for 101 members"),
    ],
)
def test_what_is_no_part_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        patients_of(ITEMS, *arguments)
