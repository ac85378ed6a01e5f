import warnings

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.real import REAL, needs_real
from tools.data.volumes import find_volumes, section_datalist, volume_datalist
from tools.datasets.luna16 import LUNA16
from tools.io import left_out
from tools.io.readers import VolumeError

HEADER = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nElementSpacing = 1 1 1\nDimSize = 2 2 2\n"
    "ElementType = MET_SHORT\nElementDataFile = {}.raw\n"
)


def write(folder, identifier, voxels=b"\0" * 16):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{identifier}.mhd").write_text(HEADER.format(identifier))
    (folder / f"{identifier}.raw").write_bytes(voxels)


def ids(folder, section, **kwargs):
    return [item["id"] for item in section_datalist("luna16", folder, section, **kwargs)]


@pytest.fixture(scope="module")
def luna16(tmp_path_factory):
    """As published: 888 volumes in ten subsets, and the lung masks beside them."""
    root = tmp_path_factory.mktemp("LUNA16")
    for subset, count in enumerate([89] * 8 + [88] * 2):
        for k in range(count):
            write(root / f"subset{subset}", f"1.3.6.1.4.{subset}.{k:03}")
    write(root / "seg-lungs-LUNA16", "1.3.6.1.4.0.000")
    (root / "subset0" / "._1.3.6.1.4.0.000.mhd").write_text("a Mac's")
    (root / "annotations.csv").write_text("seriesuid,coordX\n")
    return root


@pytest.mark.filterwarnings("error")
def test_split_of_the_paper(luna16):
    training, validation = (
        section_datalist("luna16", luna16, "training"),
        section_datalist("luna16", str(luna16), "validation"),
    )
    assert (len(training), len(validation)) == (800, 88)
    assert training[0] == {"image": str(luna16 / "subset0" / "1.3.6.1.4.0.000.mhd"), "id": "1.3.6.1.4.0.000"}
    assert all(".9." in item["id"] for item in validation)
    assert [t["id"] for t in training] == sorted(t["id"] for t in training)


def test_other_validation_subsets(luna16):
    assert len(section_datalist("luna16", luna16, "validation", validation_folds=[0, 9])) == 177
    assert len(section_datalist("luna16", luna16, "training", validation_folds=3)) == 799


def test_everything_in_validation(luna16):
    with pytest.raises(ValueError, match=r"all 888 volumes are for validation.*validation_subsets"):
        section_datalist("luna16", luna16, "training", validation_folds=range(10))


def test_none_in_validation(tmp_path):
    for k in range(3):
        write(tmp_path / "subset0", f"a{k}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training = ids(tmp_path, "training")
    with pytest.warns(UserWarning, match=r"uses the training volumes.*validation_subsets, now \[9\]"):
        assert ids(tmp_path, "validation") == training == ["a0", "a1", "a2"]


def test_own_folder_is_split_by_id(tmp_path):
    for k in range(100):
        write(tmp_path / f"patient{k}" / "ct", f"scan{k:03}")
    training, validation = ids(tmp_path, "training"), ids(tmp_path, "validation")
    assert len(training) + len(validation) == 100
    assert 4 <= len(validation) <= 20
    # more volumes move none
    for k in range(100, 140):
        write(tmp_path / "later", f"scan{k:03}")
    write(tmp_path / "subset9", "added")
    assert set(training) <= set(ids(tmp_path, "training"))
    assert {*validation, "added"} <= set(ids(tmp_path, "validation"))


def test_every_format_is_found(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
    for name in ("a.1.mhd", "b.1.mha", "deep/er/c.1.nii", "d.1.nii.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(tmp_path / name))
    assert [v.id for v in find_volumes(tmp_path, LUNA16)] == ["a.1", "b.1", "c.1", "d.1"]


def test_missing_and_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.*subset0 to subset9"):
        section_datalist("luna16", tmp_path / "nowhere", "training")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"no volume in .*subset0 to subset9 with \.mhd files"):
        section_datalist("luna16", tmp_path, "training")
    with pytest.raises(ValueError, match="expected 'training' or 'validation'"):
        section_datalist("luna16", tmp_path, "train")


def test_same_id_twice(tmp_path):
    write(tmp_path / "subset0", "a")
    write(tmp_path / "subset1", "a")
    with pytest.raises(VolumeError, match=r"id 'a': .*subset0.*subset1"):
        section_datalist("luna16", tmp_path, "training")


def test_bad_volumes_are_named_and_left_out(tmp_path):
    write(tmp_path / "subset0", "good")
    write(tmp_path / "subset0", "short", b"\0" * 15)
    write(tmp_path / "subset0", "lone")
    (tmp_path / "subset0" / "lone.raw").unlink()
    (tmp_path / "subset0" / "text.mhd").write_text("hello")
    sitk.WriteImage(sitk.Image(4, 4, sitk.sitkInt16), str(tmp_path / "subset0" / "flat.nii"))
    with pytest.warns(UserWarning, match="4 of 5 volumes are left out") as caught:
        assert ids(tmp_path, "training") == ["good"]
    message = str(caught[0].message)
    for name, reason in {
        "short.mhd": "holds 15 bytes of voxels, its header says 16",
        "lone.mhd": "its data file lone.raw is missing",
        "text.mhd": "its header cannot be read",
        "flat.nii": "expected a 3D volume",
    }.items():
        assert any(name in line and reason in line for line in message.splitlines())


def test_all_bad(tmp_path):
    for k in range(30):
        write(tmp_path, f"a{k:02}", b"")
    with pytest.raises(VolumeError, match=r"none of \d+ volumes can be used") as error:
        section_datalist("luna16", tmp_path, "training")
    assert ".raw holds 0 bytes of voxels" in str(error.value)
    assert "more" in str(error.value).splitlines()[-1]
    assert len(str(error.value).splitlines()) < 25


@needs_real
def test_real_volumes():
    assert len(section_datalist("luna16", REAL / "chest_ct", "training", validation_folds=(1,))) == 2
    assert len(section_datalist("luna16", REAL / "chest_ct", "validation", validation_folds=(0,))) == 2


def test_a_place_that_is_doubtful_is_said_again_at_the_end(tmp_path):
    for name in ("a", "b", "c"):
        image = nib.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), None if name == "b" else np.eye(4))
        nib.save(image, tmp_path / f"{name}.nii")
    with pytest.warns(UserWarning, match=r"b\.nii: it does not say how its axes lie"):
        volume_datalist(tmp_path)
    said = [line for line in left_out.summary().splitlines() if str(tmp_path) in line]
    assert len(said) == 1
    assert "b.nii: it does not say how its axes lie" in said[0]
