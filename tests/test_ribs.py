"""`python -m tools ribs` on folders of volumes."""

import csv

import nibabel as nib
import numpy as np

from tests.metrics.test_ribs import bars
from tools.ribs import ribs


def write(path, volume, spacing):
    """A NIfTI in RAS of [D, H, W]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.T.astype(np.int16), np.diag([3.0, 3.0, spacing, 1.0])), path)


def test_every_folder_has_a_line_and_every_volume_a_row(tmp_path, capsys):
    for number, distance in enumerate((20.0, 24.0, 28.0)):
        write(tmp_path / "chests" / f"{number}.nii.gz", bars(distance, 2.0), 2.0)
    write(tmp_path / "air" / "one.nii.gz", bars(24.0, 2.0, thick=1.0) * 0 - np.arange(20), 2.0)
    ribs(f"{tmp_path / 'chests'},{tmp_path / 'air'}", output=str(tmp_path / "ribs.csv"))
    said = capsys.readouterr().out
    assert "chests: ribs in 3 of 3 volumes, 24.0 mm apart" in said
    assert ", 12.0 slices" in said
    assert "air: ribs in 0 of 1 volumes\n" in said
    with open(tmp_path / "ribs.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["volume"] for row in rows] == ["0", "1", "2", "one"]
    assert abs(float(rows[0]["rib_distance_mm"]) - 20) < 0.5
    assert rows[3]["rib_distance_mm"] == ""


def test_a_damaged_volume_is_named_and_the_others_are_measured(tmp_path, capsys, caplog, recwarn):
    write(tmp_path / "a.nii.gz", bars(24.0, 2.0), 2.0)
    (tmp_path / "b.nii.gz").write_bytes(b"no image")
    ribs(str(tmp_path))
    assert "ribs in 1 of 1 volumes" in capsys.readouterr().out
    assert "b" in caplog.text + "".join(str(one.message) for one in recwarn.list)
