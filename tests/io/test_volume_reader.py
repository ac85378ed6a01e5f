"""Files and DICOM folders through one reader."""

import numpy as np
import pytest
from monai.transforms import LoadImage

from tests.io.test_dicom import AFFINE, change, hu
from tests.io.test_readers import write
from tools.data.cache import item_key
from tools.io.dicom_writer import write_dicom_series
from tools.io.readers import VolumeError, read_header
from tools.io.volume_reader import VolumeReader, source_path, volume_header, volume_stamp, with_echo
from tools.transforms.slices import ct_slices


def test_a_folder_reads_like_a_file(tmp_path):
    folder = write_dicom_series(tmp_path / "ct", hu(), AFFINE)
    image = LoadImage(reader=VolumeReader)(folder)
    assert np.array_equal(image, hu())
    assert np.allclose(image.affine, AFFINE)
    assert image.meta["modality"] == "CT"
    header = volume_header(folder)
    assert header.shape == (12, 10, 6)
    assert np.allclose(header.field_of_view, [33, 12.5, 18])
    array = write(tmp_path / "a.nii")
    assert np.array_equal(LoadImage(reader=VolumeReader)(tmp_path / "a.nii"), array.T)
    assert volume_header(tmp_path / "a.nii").shape == read_header(tmp_path / "a.nii").shape


def test_modality_is_what_dicom_says(tmp_path):
    folder = write_dicom_series(tmp_path / "mr", np.abs(hu()), AFFINE, "MR", rescale=(1, 0))
    write(tmp_path / "a.nii")
    load = LoadImage(reader=VolumeReader)
    assert [load(path).meta["modality"] for path in (folder, tmp_path / "a.nii")] == ["MR", ""]
    for file in folder.iterdir():
        change(file, Modality="OT")  # other
    assert load(folder).meta["modality"] == ""


def test_an_echo_of_a_folder(tmp_path):
    options = {"modality": "MR", "rescale": (1, 0)}
    folder = write_dicom_series(tmp_path / "out", np.abs(hu()), AFFINE, echo_time=2.3, **options)
    second = write_dicom_series(tmp_path / "in", np.abs(hu(seed=1)), AFFINE, echo_time=4.6, **options)
    for file in second.iterdir():
        file.rename(folder / f"second_{file.name}")
    name = with_echo(folder, 4.6)
    assert source_path(name) == str(folder)
    assert np.array_equal(LoadImage(reader=VolumeReader)(name), np.abs(hu(seed=1)))
    write(tmp_path / "a.nii")
    with pytest.raises(VolumeError, match="this is none"):
        volume_header(with_echo(tmp_path / "a.nii", 2))


def test_bad_volumes_reach_the_caller(tmp_path):
    folder = write_dicom_series(tmp_path / "ct", hu(), AFFINE)
    (folder / "IMG-0001-00003.dcm").unlink()
    with pytest.raises(VolumeError, match="a slice is missing"):
        LoadImage(reader=VolumeReader)(folder)


def test_the_cache_notices_a_change_in_any_slice(tmp_path):
    folders = [write_dicom_series(tmp_path / name, hu(), AFFINE, uid_seed="1") for name in ("a", "b")]
    item = {"image": [str(f) for f in folders], "id": "x"}
    before = item_key(item), volume_stamp(folders[1])
    assert len(before[1]) == 6
    assert item_key(item) == before[0]
    file = folders[1] / "IMG-0001-00004.dcm"
    file.write_bytes(file.read_bytes() + b"\0")
    assert item_key(item) != before[0]
    assert volume_stamp(folders[1]) != before[1]


def test_what_dicom_says_it_shows_is_passed_on(tmp_path):
    folder = write_dicom_series(tmp_path / "mr", np.abs(hu()), AFFINE, modality="MR", rescale=(1, 0))
    assert VolumeReader().get_data(str(folder))[1]["modality"] == "MR"
    with pytest.raises(RuntimeError) as caught:
        ct_slices(16, (-1000, 1000))({"image": str(folder)})
    assert "its DICOM files say that it is MR, expected CT" in str(VolumeError.behind(caught.value))
