"""The record of a labelled dataset in CONTRIBUTING.md lists what is in a folder of its layout."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.tiny import REPOSITORY
from tools.data.cases import case_datalist, recognise
from tools.datasets import published
from tools.datasets.splitting import is_held_out

BLOCK = re.search(r"### With labels.*?```python\n(.*?)```", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]


@pytest.fixture
def record():
    names = {}
    exec(BLOCK, names)
    return names["STROKE"]


@pytest.fixture
def folder(tmp_path):
    rows = ["participant_id\tgroup\tbleeding\tinfarct"]
    for number in range(20):
        name = f"sub-{number:02d}"
        (tmp_path / name / "anat").mkdir(parents=True)
        for ending in ("T1w", "FLAIR", "lesion"):
            voxels = np.full((4, 4, 3), number % 3, np.uint8)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / name / "anat" / f"{name}_{ending}.nii.gz")
        rows.append(f"{name}\t{'patient' if number else 'control'}\t0\t{number % 2}")
    (tmp_path / "participants.tsv").write_text("\n".join(rows))
    return tmp_path


def test_it_is_recognised_and_listed(record, folder, monkeypatch):
    monkeypatch.setitem(published.DATASETS, record.name, record)
    assert recognise(folder) is record
    data = case_datalist(record, folder, "training", ["flair", "t1"], labelled=True, classified=False, findings=True)
    expected = [f"sub-{n:02d}" for n in range(20) if not is_held_out(f"sub-{n:02d}", 10)]
    assert [item["id"] for item in data] == expected
    first = data[0]
    assert [Path(path).name for path in first["image"]] == [f"{first['id']}_{e}.nii.gz" for e in ("FLAIR", "T1w")]
    assert Path(first["label"]).name == f"{first['id']}_lesion.nii.gz"
    assert first["known"] == ["core", "penumbra"]
    assert [item["class"] for item in data] == [[[0, int(item["id"][-2:]) % 2]] for item in data]
