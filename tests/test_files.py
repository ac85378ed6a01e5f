"""A file is whole or not there, whatever happens to the process that writes it."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tools.errors import mendable_message
from tools.files import PARTIAL, as_text, file_name, remove_partial, whole_file, whole_folder
from tools.torch_files import write_torch_file


def test_the_file_appears_with_its_content(tmp_path):
    path = tmp_path / "new" / "report.json"
    with whole_file(path) as partial:
        partial.write_text("all")
        assert not path.exists()
        assert partial.suffix == ".json"
        assert partial.match(PARTIAL)
    assert path.read_text() == "all"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")

    def fail():
        with whole_file(path) as partial:
            partial.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_appears_with_all_it_holds(tmp_path):
    path = tmp_path / "new" / "series"
    with whole_folder(path) as partial:
        (partial / "1.dcm").write_text("one")
        assert not path.exists()
        assert partial.match(PARTIAL)
    assert (path / "1.dcm").read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_folder_is_filled(tmp_path):
    path = tmp_path / "series"
    path.mkdir()
    with whole_folder(path) as partial:
        (partial / "1.dcm").write_text("one")
    assert (path / "1.dcm").read_text() == "one"


def test_an_error_leaves_no_folder(tmp_path):
    def fail():
        with whole_folder(tmp_path / "series") as partial:
            (partial / "1.dcm").write_text("on")
            raise ValueError("no such slice")

    with pytest.raises(ValueError, match="no such slice"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_stays(tmp_path):
    """Another process put it there meanwhile."""
    path = tmp_path / "series"

    def late():
        with whole_folder(path) as partial:
            (partial / "1.dcm").write_text("new")
            path.mkdir()
            (path / "1.dcm").write_text("old")

    with pytest.raises(OSError, match="not empty"):
        late()
    assert (path / "1.dcm").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_on_a_full_disk(tmp_path):
    def fill():
        with whole_folder(tmp_path / "series") as partial:
            (partial / "1.dcm").symlink_to("/dev/full")
            (partial / "1.dcm").write_text("one")

    with pytest.raises(OSError, match=rf"is full: {tmp_path / 'series'} could not be written"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full_disk(monkeypatch):
    """What is written next into a folder goes to a disk without room: the kernel's own, /dev/full."""

    def fill(folder, ending):
        monkeypatch.setattr("tools.files.uuid.uuid4", lambda: SimpleNamespace(hex="next"))
        (folder / f".next.partial{ending}").symlink_to("/dev/full")

    return fill


def as_torch(path):
    write_torch_file(path, {"weight": torch.zeros(1_000_000)})


def as_array(path):
    with whole_file(path) as partial, partial.open("wb") as file:
        np.save(file, np.zeros(1_000_000))


def as_text_file(path):
    with whole_file(path) as partial:
        partial.write_text("new")


@pytest.mark.parametrize("write", [as_torch, as_array, as_text_file])
def test_a_full_disk_is_called_that(tmp_path, full_disk, write):
    path = tmp_path / "model.pt"
    path.write_text("old")
    full_disk(tmp_path, ".pt")
    with pytest.raises(OSError, match=rf"the disk, or the quota on it, is full: {path} could not be written") as error:
        write(path)
    assert error.value.errno == errno.ENOSPC
    assert "OSError" in mendable_message(error.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_stay_as_they_are(tmp_path):
    def fail():
        with whole_file(tmp_path / "model.pt"):
            raise OSError(errno.EIO, "bad sector")

    with pytest.raises(OSError, match="bad sector") as error:
        fail()
    assert error.value.errno == errno.EIO


def test_a_kill_leaves_what_was_there(tmp_path):
    """The writer is killed when half of the bytes are on disk."""
    path = tmp_path / "model.pt"
    path.write_text("old")
    script = f"""
        import os, signal
        from tools.files import whole_file
        with whole_file({str(path)!r}) as partial:
            partial.write_text("ne")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    repository = Path(__file__).resolve().parents[1]
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=repository, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    assert path.read_text() == "old"
    assert len(list(tmp_path.glob(PARTIAL))) == 1


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".json", ""])
def test_a_name_as_long_as_a_name_can_be(tmp_path, ending):
    path = tmp_path / ("ä" * 120 + "x" * (15 - len(ending)) + ending)
    assert len(os.fsencode(path.name)) == 255
    with whole_file(path) as partial:
        assert partial.name.endswith(ending)
        assert partial.match(PARTIAL)
        partial.write_text("all")
    assert path.read_text() == "all"


def test_names_that_are_no_text():
    path = os.fsdecode("a/Müller.nii".encode("latin-1"))
    assert as_text(path) == "a/Müller.nii"
    assert as_text("a/Müller/患者.nii") == "a/Müller/患者.nii"


def test_a_name_is_cut_and_stays_unique():
    assert file_name("a/b", ".nii.gz") == "a_b.nii.gz"
    long = [file_name("患" * 100 + end, "_ct.nii.gz") for end in ("1", "2")]
    assert all(len(os.fsencode(name)) <= 255 and name.endswith("_ct.nii.gz") for name in long)
    assert long[0] != long[1]
    assert file_name("x" * 245, "_ct.nii.gz") == "x" * 245 + "_ct.nii.gz"


def test_content_is_on_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    """Or a machine that loses its power leaves a whole name with half a file."""
    path, steps = tmp_path / "model.pt", []
    replace = os.replace

    def fsync(file):
        steps.append(("on disk", os.path.basename(os.readlink(f"/proc/self/fd/{file}"))))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda old, new: steps.append(("renamed", Path(new).name)) or replace(old, new))
    with whole_file(path) as partial:
        partial.write_text("all")
    assert steps == [("on disk", partial.name), ("renamed", "model.pt"), ("on disk", tmp_path.name)]


def test_partial_files_are_removed(tmp_path):
    with whole_file(tmp_path / "model.pt") as partial:
        partial.write_text("all")
    partial.write_text("ha")  # a killed process leaves it
    remove_partial(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "model.pt"]
