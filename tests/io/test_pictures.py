import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.real import REAL, needs_real
from tools.io.pictures import picture_names, read_pictures
from tools.io.volume import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.samples import sample_pictures


@pytest.fixture
def folder(tmp_path):
    """Three pictures of 8 bits and one of 16, and files that are none."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (3, 6, 8)).astype(np.uint8)
    (tmp_path / "set" / "b").mkdir(parents=True)
    for name, one in zip(("b/2.png", "b/1.png", "3.PNG"), grey, strict=True):
        Image.fromarray(one).save(tmp_path / "set" / name)
    (tmp_path / "set" / "notes.txt").write_text("text")
    (tmp_path / "set" / ".hidden.png").write_text("none")
    return tmp_path / "set", grey


def test_a_folder_and_a_zip_hold_the_same(folder, tmp_path):
    path, grey = folder
    names = picture_names(path)
    assert names == ["3.PNG", "b/1.png", "b/2.png"]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in [*names, "notes.txt"]:
            archive.write(path / name, name)
    assert picture_names(tmp_path / "set.zip") == names
    for source in (path, tmp_path / "set.zip"):
        assert np.array_equal(read_pictures(source, names), grey[[2, 1, 0]])


def test_sixteen_bits_stay(tmp_path):
    deep = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1300
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read_pictures(tmp_path, ["deep.png"])[0], deep)


def test_what_cannot_be_read_is_named(folder, tmp_path):
    path, _ = folder
    empty = tmp_path / "empty"
    empty.mkdir()
    (path / "4.png").write_bytes((path / "3.PNG").read_bytes()[:40])
    with pytest.raises(VolumeError, match=r"4\.png: it cannot be read as a picture"):
        read_pictures(path, ["3.PNG", "4.png"])
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(path / "small.png")
    with pytest.raises(VolumeError, match=r"small\.png: it has 2 x 2 pixels and others \(8, 6\)"):
        read_pictures(path, ["3.PNG", "small.png"])
    (tmp_path / "bad.zip").write_bytes(b"PK no zip")
    with pytest.raises(VolumeError, match=r"bad\.zip: it is no zip"):
        picture_names(tmp_path / "bad.zip")
    with pytest.raises(FileNotFoundError, match="expected a zip or a folder"):
        picture_names(tmp_path / "none")
    with pytest.raises(VolumeError, match="holds no pictures"):
        picture_names(empty)


@needs_real
def test_real_slices_become_samples():
    archive = REAL / "head_ct_slices" / "HeadCT.zip"
    names = picture_names(archive)
    assert len(names) == 9000
    item = {"id": "part", "image": str(archive), "names": names[:5]}
    made = sample_pictures(Channels({"ct": [0, 255]}), 64)(item)["image"]
    with zipfile.ZipFile(archive) as opened, opened.open(names[3]) as file:
        expected = np.asarray(Image.open(file), np.float32) / 127.5 - 1
    assert made.shape == (1, 5, 64, 64)
    assert made[0, 3].numpy() == pytest.approx(expected, abs=1e-6)
