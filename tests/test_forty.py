"""The catalogue doubled under other names, with which the suite is measured."""

import json
import shutil

from tests.forty import double_entries, rounds
from tests.tiny import REPOSITORY
from tools.catalogue.write import bundles


def test_rounds_end_where_there_are_enough():
    assert rounds(["a", "b", "c"], 8) == [["a", "b", "c"], ["a", "b"]]
    assert rounds(["a", "b", "c"], 5) == [["a", "b"]]
    assert rounds(["a", "b"], 2) == []


def test_entries_under_other_names_are_the_same_bundles(tmp_path):
    """Also where the catalogue is a doubled one already."""
    shutil.copytree(REPOSITORY / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "requirements.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    double_entries(tmp_path, 2 * len(bundles()) + 3, sign="_again")
    names = [path.name for path in (tmp_path / "bundles").iterdir()]
    copies = [name for name in names if name.endswith(("_again2", "_again3"))]
    assert set(names) - set(copies) == set(bundles())
    assert len(names) == 2 * len(bundles()) + 3
    for copy in copies:
        name = copy.rpartition("_")[0]
        configs = [path.name for path in (REPOSITORY / "bundles" / name / "configs").glob("*.json")]
        for config in {"train.json", "inference.json"} & {*configs}:
            own, original = (
                json.loads((folder / "configs" / config).read_text())
                for folder in (tmp_path / "bundles" / copy, REPOSITORY / "bundles" / name)
            )
            assert own == json.loads(json.dumps(original).replace(name, copy))
