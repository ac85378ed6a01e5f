"""`python -m tools continuity` on folders of volumes: borders that are there are found, others are not."""

import csv
import re

import nibabel as nib
import numpy as np
import pytest

from tools.continuity import continuity
from tools.io.readers import VolumeError
from tools.metrics.consistency import border_change


def smooth(seed, slices=48):
    """A volume [D, H, W] that changes along the body, here more and there less."""
    rng = np.random.default_rng(seed)
    place = np.arange(slices)[:, None, None] / slices
    waves = [np.sin(2 * np.pi * (n * place + rng.random((1, 12, 12)))) * rng.normal(0, 1 / n) for n in range(1, 4)]
    return 300 * sum(waves) + rng.normal(0, 5, (slices, 12, 12))


def in_slabs(seed, slab, slices=48):
    """The same of slabs that each have a brightness of their own."""
    offset = np.random.default_rng(seed + 1000).normal(0, 40, -(-slices // slab))
    return smooth(seed, slices) + np.repeat(offset, slab)[:slices, None, None]


def write(folder, volumes):
    folder.mkdir(parents=True)
    for number, volume in enumerate(volumes):
        affine = np.diag([1.0, 1.0, 2.0, 1.0])  # columns to the right, rows to the front
        nib.save(nib.Nifti1Image(volume[:, ::-1, ::-1].T.astype(np.int16), affine), folder / f"v{number}.nii.gz")
    return folder


def said(text):
    """Across borders with its interval, and the least and the greatest at other starts, of the first slab's."""
    across = re.search(r"across borders ([\d.]+) \(([\d.]+) to ([\d.]+)\)", text)
    others = [float(value) for value in re.search(r"later ([\d. ]+)\n", text)[1].split()]
    return *map(float, across.groups()), min(others), max(others)


def test_planted_borders_are_found_and_none_where_there_are_none(tmp_path, capsys):
    whole = write(tmp_path / "whole", map(smooth, range(12)))
    slabs = write(tmp_path / "slabs", [in_slabs(seed, 8) for seed in range(12)])
    continuity(f"{whole},{slabs}", slab=8, output=str(tmp_path / "continuity.csv"))
    text = capsys.readouterr().out
    of_whole, of_slabs = text.split(f"{slabs}: 12 volumes")
    value, low, high, least, most = said(of_whole)
    assert low < value < high
    assert 0.9 < least < most < 1.1
    assert 0.95 < value < 1.05
    value, low, _, least, most = said(of_slabs)
    assert low > 1.4
    assert most < 1  # the border is then among what lies within
    with open(tmp_path / "continuity.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["folder"], row["start"]) for row in rows] == [
        (str(f), str(n)) for f in (whole, slabs) for n in range(8)
    ]
    assert {(row["volumes"], row["slab"]) for row in rows} == {("12", "8")}
    found = [border_change(in_slabs(seed, 8).astype(np.int16), 8, 3) for seed in range(12)]
    row = rows[8 + 3]
    assert float(row["ratio"]) == pytest.approx(np.mean([one.ratio for one in found]), rel=1e-4)
    assert float(row["border"]) == pytest.approx(np.mean([one.border for one in found]), rel=1e-4)
    assert float(row["low"]) < float(row["ratio"]) < float(row["high"])
    assert float(rows[8]["ratio"]) == pytest.approx(value, abs=1e-3)


def test_two_volumes_have_no_interval(tmp_path, capsys):
    folder = write(tmp_path / "two", map(smooth, range(2)))
    continuity(str(folder), slab=2, output=str(tmp_path / "two.csv"))
    text = capsys.readouterr().out
    assert re.search(r"across borders [\d.]+ of within them\n    with slabs that begin 1 slice later [\d.]+\n", text)
    assert (tmp_path / "two.csv").read_text().splitlines()[1].split(",")[5:7] == ["", ""]


def test_slabs_of_another_length_are_not_taken_for_these(tmp_path, capsys):
    """Several lengths in one call; volumes of slabs of six have no borders of eight."""
    folder = write(tmp_path / "six", [in_slabs(seed, 6) for seed in range(8)])
    continuity(str(folder), slab="6,8")
    six, eight = capsys.readouterr().out.split("slabs of 8")
    assert said(six)[1] > 1.4
    value, *_, least, most = said(eight)
    assert value < 1.4
    assert least < value < most


def test_what_cannot_be_used_is_named_and_left_out(tmp_path, capsys, caplog, recwarn):
    folder = write(tmp_path / "a", [smooth(0), smooth(1), smooth(2)[:20]])
    (folder / "b.nii.gz").write_bytes(b"no image")
    continuity(str(folder))
    assert "a: 2 volumes" in capsys.readouterr().out
    told = caplog.text + "".join(str(one.message) for one in recwarn.list)
    assert "20 axial slices, fewer than three slabs of 8" in told
    assert "b" in told
    with pytest.raises(VolumeError, match=r"none of the 1 volumes in .*short can be used"):
        continuity(str(write(tmp_path / "short", [smooth(2)[:20]])))


@pytest.mark.parametrize("slab", [1, True, "8,x", "", 0, "-4"])
def test_lengths_of_slabs_that_are_none(tmp_path, slab):
    with pytest.raises(ValueError, match="expected whole numbers of slices from 2"):
        continuity(str(tmp_path), slab=slab)
