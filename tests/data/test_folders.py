"""Walking through folders of data: links, masks, names in other encodings, and whose a volume is."""

import os

import pytest

from tests.data.scans import write_ct
from tools.data.folders import walk
from tools.data.volumes import find_volumes, section_datalist
from tools.datasets.gsp import GSP
from tools.datasets.luna16 import LUNA16
from tools.io import left_out
from tools.io.readers import VolumeError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def ids(folder, layout=LUNA16):
    return [volume.id for volume in find_volumes(folder, layout)]


def test_links_that_lead_back_make_no_circle(tmp_path):
    touch(tmp_path / "data", "one/a.nii", "two/b.nii")
    (tmp_path / "data" / "one" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data" / "two")
    (tmp_path / "data" / "itself").symlink_to("itself")
    touch(tmp_path / "elsewhere", "c.nii")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    places = [place.relative_to(tmp_path / "data").as_posix() for place, _ in walk(tmp_path / "data")]
    assert places == [".", "one", "two", "linked"]  # folders before links to them
    assert ids(tmp_path / "data") == ["a", "b", "c"]


def test_masks_are_left_out_and_named(tmp_path):
    touch(tmp_path, "imagesTr/lung_001.nii.gz", "labelsTr/lung_001.nii.gz", "labelsTs/lung_9.nii.gz", ".x/d.nii")
    assert ids(tmp_path) == ["lung_001"]
    said = left_out.summary()
    assert f"{tmp_path / 'labelsTr'}: label maps, by the name of the folder" in said
    assert f"{tmp_path / 'labelsTs'}: label maps" in said
    assert ids(tmp_path / "labelsTr") == ["lung_001"]  # by its values, then


def test_many_of_one_reason_are_told_together():
    reasons = {f"/d/{n}.nii": f"{n} of 64 voxels are NaN" for n in range(1, 6)} | {"/d/x": "it is empty", "/d/y": "b"}
    assert left_out.listed(reasons, 3) == (
        "  5: 1 of 64 voxels are NaN\n    /d/1.nii\n    /d/2.nii\n    /d/3.nii\n    ... and 2 more\n"
        "  /d/x: it is empty\n  /d/y: b"
    )
    assert left_out.in_words(reasons, 3) == (
        "5: 1 of 64 voxels are NaN (/d/1.nii, /d/2.nii, /d/3.nii and 2 more); /d/x: it is empty; /d/y: b"
    )
    with pytest.warns(UserWarning, match=r"7 of 9 volumes are left out:\n  5: 1 of 64 voxels are NaN\n +/d/1\.nii\n"):
        left_out.warn_of("/d", reasons, 9)
    assert left_out.summary().startswith("Left out, or looking wrong (7):\n  5: 1 of 64 voxels")


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch, caplog):
    touch(tmp_path, "good/a.nii", "shut/b.nii")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert ids(tmp_path) == ["a"]
    assert "shut is left out: the folder cannot be opened (Permission denied)" in caplog.text
    assert "shut: the folder cannot be opened" in left_out.summary()


def test_a_folder_is_a_subject_where_the_name_of_the_file_says_only_what_it_is(tmp_path):
    touch(tmp_path, "s0000/ct.nii.gz", "s0000/segmentations/liver.nii.gz", "s0001/ct.nii.gz", "s0001/mr.nii.gz")
    touch(tmp_path, "s0002/ct.nii.gz", "s0002/CT/image.nii")  # two of one subject
    with pytest.raises(VolumeError, match=r"two volumes have the id 's0002'"):
        ids(tmp_path)
    (tmp_path / "s0002" / "ct.nii.gz").unlink()
    assert ids(tmp_path) == ["s0000", "s0001", "s0001_mr", "s0002"]
    assert ids(touch(tmp_path / "brains", "p1/T1w.nii.gz", "p2/T1w.nii.gz", "t1.nii"), GSP) == ["p1", "p2", "t1"]


def test_one_name_with_two_endings_is_no_single_volume(tmp_path):
    with pytest.raises(VolumeError, match=r"id 'p1': .*p1\.mha and .*p1\.nii\.gz"):
        ids(touch(tmp_path, "p1.nii.gz", "p1.mha"))


def test_ids_of_names_that_are_no_utf8_are_text(tmp_path):
    touch(tmp_path, os.fsdecode(b"M\xfcller.nii.gz"))
    (volume,) = find_volumes(tmp_path, LUNA16)
    assert volume.id == "Müller"
    assert os.fsencode(volume.path).endswith(b"/M\xfcller.nii.gz")


def test_what_is_left_out_is_said_once_more_at_the_end(tmp_path, capsys):
    left_out.print_left_out()
    assert capsys.readouterr().out == ""
    for name in ("subset0/a.mha", "subset0/b.mha", "subset1/c.mha"):
        write_ct(tmp_path / name)
    (tmp_path / "subset0" / "a.mha").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 of 3 volumes are left out:\n  .*a\.mha: its header cannot be read"):
        section_datalist("luna16", tmp_path, "training")
    left_out.print_left_out()
    printed = capsys.readouterr().out
    assert printed.startswith("Left out, or looking wrong (1):\n")
    assert f"{tmp_path / 'subset0' / 'a.mha'}: its header cannot be read" in printed
