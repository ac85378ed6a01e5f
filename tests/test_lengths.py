"""`python -m tools lengths` on folders of volumes."""

import csv

import nibabel as nib
import numpy as np
import pytest

from tests.metrics.test_chest_lengths import bars, chest
from tools.lengths import lengths


def write(path, volume, spacing):
    """A NIfTI in RAS of [D, H, W]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.T.astype(np.int16), np.diag([3.0, 3.0, spacing, 1.0])), path)


def test_every_folder_has_its_lengths_and_every_volume_a_row(tmp_path, capsys):
    for number, distance in enumerate((20.0, 24.0, 28.0)):
        write(tmp_path / "bars" / f"{number}.nii.gz", bars(distance, 2.0), 2.0)
    write(tmp_path / "chest" / "one.nii.gz", chest((4.0, 3.0, 3.0)), 4.0)
    lengths(f"{tmp_path / 'bars'},{tmp_path / 'chest'}", output=str(tmp_path / "lengths.csv"))
    bar_lines, chest_lines = capsys.readouterr().out.split(f"{tmp_path / 'chest'}: 1 volumes\n")
    assert "bars: 3 volumes\n" in bar_lines
    assert "lungs along the body: found in none" in bar_lines
    assert "from rib to rib: 24.0 mm (half of them 22.0 to 26.0) in 3" in bar_lines
    assert "from rib to rib: found in none" in chest_lines
    with open(tmp_path / "lengths.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["volume"] for row in rows] == ["0", "1", "2", "one"]
    assert abs(float(rows[0]["rib_distance"]) - 20) < 0.5
    assert rows[3]["rib_distance"] == rows[0]["lung_width"] == ""
    assert (rows[3]["size"], rows[3]["spacing_mm"]) == ("75x93x133", "4x3x3")
    assert float(rows[3]["lung_length"]) == pytest.approx(184, rel=0.03)


def test_a_damaged_volume_is_named_and_the_others_are_measured(tmp_path, capsys, caplog, recwarn):
    write(tmp_path / "a.nii.gz", bars(24.0, 2.0), 2.0)
    (tmp_path / "b.nii.gz").write_bytes(b"no image")
    lengths(str(tmp_path))
    assert "from rib to rib: 24.0 mm (half of them 24.0 to 24.0) in 1" in capsys.readouterr().out
    assert "b" in caplog.text + "".join(str(one.message) for one in recwarn.list)
