"""Seeds, labels, and what is trained on when nothing is given."""

import logging

import pytest

from tools.data.fallback import dataset_or_phantoms
from tools.data.labels import with_labels
from tools.data.synthetic import seed_datalist, with_seeds


def test_seeds_are_consecutive_and_named():
    assert seed_datalist(2, seed=7, name="bundle") == [
        {"seed": 7, "name": "bundle_seed00007"},
        {"seed": 8, "name": "bundle_seed00008"},
    ]


def test_classes_take_turns_or_are_given():
    assert [item["label"] for item in seed_datalist(5, num_classes=2)] == [0, 1, 0, 1, 0]
    assert [item["label"] for item in seed_datalist(3, num_classes=2, class_label=1)] == [1, 1, 1]
    assert seed_datalist(1, num_classes=2, class_label=1)[0]["name"] == "synthetic_seed00000_class1"


def test_the_class_follows_from_the_seed_whatever_the_job():
    whole = seed_datalist(12, seed=3, num_classes=3)
    assert [item["label"] for item in whole] == [seed % 3 for seed in range(3, 15)]
    for jobs in (1, 4, 5):  # volumes of a job
        parts = [seed_datalist(min(jobs, 15 - first), first, num_classes=3) for first in range(3, 15, jobs)]
        assert [item for part in parts for item in part] == whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_volumes": 1, "seed": -1}, "seed is -1, expected 0 or more"),
        ({"num_volumes": 0}, "num_volumes is 0"),
        ({"num_volumes": 1, "class_label": 0}, "none: it was trained without classes"),
        ({"num_volumes": 1, "num_classes": 3, "class_label": 3}, "class_label is 3, .* 0 to 2"),
    ],
)
def test_what_cannot_be_generated_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        seed_datalist(**arguments)


def test_real_volumes_get_the_seeds_of_those_they_are_compared_with():
    assert with_seeds([{"id": "a"}, {"id": "b"}], seed=3) == [{"id": "a", "seed": 3}, {"id": "b", "seed": 4}]


def test_labels_come_from_a_file(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("id,label\nb,1\na,0\nc,1\n")
    assert with_labels([{"id": "a"}, {"id": "b"}], path, 2) == [{"id": "a", "label": 0}, {"id": "b", "label": 1}]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffid,label\r\na,0\r\nb,1\r\n".encode(),  # Excel's "CSV UTF-8"
        "id\tlabel\na\t0\nb\t1\n".encode("utf-16"),  # Excel's "Unicode text"
        b"id;label\na;0\nb;1\n",
        b"id, label\na, 0\nb, 1 \n",
        b"label,age,id\n0.0,61,a\n1.0,,b\n",  # pandas, of a column that has gaps
        b'"id","label","note"\na,0,"two\nlines"\nb,1\n',
        b"id,label\na,0\nb,1\nother,\nthird,7\nother,1\na,0\n",  # other volumes; the same said twice
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    labelled = with_labels([{"id": "a"}, {"id": "b"}], tmp_path / "labels.csv", 2)
    assert [item["label"] for item in labelled] == [0, 1]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, "2 classes need a CSV file"),
        ("name,class\na,0\n", ValueError, r"has the columns \['name', 'class'\], expected 'id' and 'label'"),
        ("id,label\na,0\n", ValueError, r"no label for 1 of 2 volumes: \['b'\]"),
        ("id,label\na,0\nb,2\n", ValueError, r"labels must be 0 to 1, but 1 are not: \[\('b', '2'\)\]"),
        ("", ValueError, r"has the columns \[\]"),
        (
            "id|label\na|0\n",
            ValueError,
            r"has the columns \['id\|label'\], .* separated by a comma, a semicolon or a tab",
        ),
        (
            "id,label\na,0\nb,1\na,1\n",
            ValueError,
            r"1 volume\(s\) .* contradict .*: a has 0 \(line 2\) and 1 \(line 4\)",
        ),
        ("id,label\na,0\nb,1\nb,\n", ValueError, r"b has 1 \(line 3\) and none \(line 4\)"),
        ("id,label\na,0\nb,\n", ValueError, r"no label for 1 of 2 volumes: \['b'\]"),
    ],
)
def test_bad_labels_are_named(tmp_path, content, error, message):
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=message):
        with_labels([{"id": "a"}, {"id": "b"}], path, 2)


def test_phantoms_only_without_data_and_not_in_silence(tmp_path, caplog):
    calls = []

    def write(folder, **settings):
        calls.append(settings)
        return folder

    assert dataset_or_phantoms("mine", tmp_path / "p", write, count=3) == "mine"
    assert not calls
    with caplog.at_level(logging.WARNING):
        assert dataset_or_phantoms(None, tmp_path / "p", write, count=3) == str(tmp_path / "p")
    assert calls == [{"count": 3}]
    assert "not patients" in caplog.text
