"""MR and CT in folders of one's own: files and DICOM, contrasts by name, no volume lost behind another."""

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.data.test_studies import series
from tests.io.test_dicom import AFFINE, dual_echo, hu
from tests.io.test_readers import write
from tools.data.own_folders import by_name, find_series
from tools.data.studies import ct_studies, mr_studies, translation_studies
from tools.data.volumes import volume_datalist
from tools.io.dicom_writer import write_dicom_series
from tools.io.readers import VolumeError
from tools.io.volume_reader import with_echo
from tools.transforms.slices import mr_slices


def volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    return str(path)


@pytest.mark.parametrize("second", ["p1.mha", "p1.nii"])
def test_two_files_of_one_name_are_an_error_wherever_volumes_are_looked_for(tmp_path, second):
    volume(tmp_path / "p1.nii.gz")
    volume(tmp_path / second)
    for find in (
        find_series,
        lambda folder: ct_studies(None, "training", ct_dir=folder),
        lambda folder: mr_studies(None, "training", ["in_phase"], mr_dir=folder),
        lambda folder: translation_studies(folder, ["in_phase"]),
    ):
        with pytest.raises(
            VolumeError, match=rf"two volumes have the name 'p1': .*(p1.nii.gz and .*{second}|{second})"
        ):
            find(tmp_path)


def test_studies_whose_files_would_have_one_name_are_an_error(tmp_path):
    volume(tmp_path / "a" / "b.nii.gz")
    volume(tmp_path / "a_b.nii.gz")
    assert set(find_series(tmp_path)) == {"a/b", "a_b"}
    with pytest.raises(ValueError, match="would be written to files of one name, a_b; rename"):
        translation_studies(tmp_path, ["in_phase"])
    series(tmp_path / "more" / "c")  # of DICOM the path is the id
    volume(tmp_path / "more_c.nii.gz")
    with pytest.raises(ValueError, match="would be written to files of one name, more_c; rename"):
        volume_datalist(tmp_path)


def test_a_folder_of_dicom_and_a_file_of_one_name(tmp_path):
    series(tmp_path / "p1")
    volume(tmp_path / "p1.nii")
    with pytest.raises(VolumeError, match="two volumes have the name 'p1'"):
        find_series(tmp_path)


def test_dicom_beside_files_is_not_lost(tmp_path):
    series(tmp_path / "p1")
    volume(tmp_path / "p1" / "other.nii")
    assert find_series(tmp_path) == {"p1": str(tmp_path / "p1"), "p1/other": str(tmp_path / "p1" / "other.nii")}


NAMES = {
    "suffixes": ("{id}_in_phase.nii.gz", "{id}_out_phase.mha", "{id}_t2.nii"),
    "files in folders": ("{id}/in_phase.nii.gz", "{id}/OUT_PHASE.nii", "{id}/T2.nii"),
    "folders of contrasts": ("in_phase/{id}.nii.gz", "out_phase/{id}.nii", "t2/{id}.nii"),
    "DICOM": ("{id}/in_phase/", "{id}/out_phase/", "{id}/t2/"),
    "DICOM below": ("{id}/in_phase/1.2.3/", "{id}/out_phase/1.2.4/", "{id}/t2/1.2.5/"),
}


@pytest.mark.parametrize("layout", NAMES)
def test_contrasts_of_a_patient_are_told_by_their_names(tmp_path, layout):
    expected = {}
    for patient in ("p1", "p2"):
        for contrast, name in zip(("in_phase", "out_phase", "t2"), NAMES[layout], strict=True):
            path = tmp_path / name.format(id=patient)
            if name.endswith("/"):
                series(path)
            else:
                volume(path)
            expected.setdefault(f"MR/{patient}", {})[contrast] = str(path)
    for modalities in (["in_phase", "out_phase"], ["t2", "in_phase", "out_phase"], ["out_phase"]):
        studies = mr_studies(None, "training", modalities, mr_dir=tmp_path)
        found = {study["id"].removesuffix("/1.2.4"): study["image"] for study in studies}
        assert found == {name: [paths[m] for m in modalities] for name, paths in expected.items()}


def test_one_contrast_needs_no_names(tmp_path):
    paths = {
        "MR/a": volume(tmp_path / "a.nii"),
        "MR/b/c": volume(tmp_path / "b" / "c.mha"),
        "MR/d": volume(tmp_path / "d_t2.nii"),
    }
    series(tmp_path / "e")
    volume(tmp_path / "a_in_phase.nii")
    studies = mr_studies(None, "training", ["t2"], mr_dir=tmp_path)
    assert {s["id"]: s["image"][0] for s in studies} == paths | {"MR/e": str(tmp_path / "e")}


def test_series_of_one_modality_below_its_folder_stay_apart(tmp_path):
    for name in ("p1/CT/axial.nii", "p1/CT/coronal.nii", "p2/ct.nii"):
        volume(tmp_path / name)
    assert {s["id"] for s in ct_studies(None, "training", ct_dir=tmp_path)} == {
        "CT/p1/axial",
        "CT/p1/coronal",
        "CT/p2",
    }


def test_every_contrast_is_a_study_of_its_own_in_a_pool(tmp_path):
    for name in ("p1_in_phase.nii", "p1_out_phase.nii", "p2.nii", "p3_t2.nii"):
        volume(tmp_path / name)
    studies = mr_studies(None, "training", ["in_phase", "out_phase"], pool=True, mr_dir=tmp_path)
    assert [s["id"] for s in studies] == ["MR/p1/in_phase", "MR/p1/out_phase", "MR/p2/in_phase"]


def test_what_no_name_tells_is_named(tmp_path):
    for name in ("p1_in_phase.nii", "p1_out_phase.nii", "p2.nii", "p3_in_phase.nii"):
        volume(tmp_path / name)
    with (
        pytest.warns(
            UserWarning, match=r"1 of 4 volumes are left out:\n.*p2.nii: its name ends in none of _in_phase, _out"
        ),
        pytest.warns(UserWarning, match=r"MR/p3: has in_phase, lacks out_phase"),
    ):
        studies = mr_studies(None, "training", mr_dir=tmp_path)
    assert [s["id"] for s in studies] == ["MR/p1"]
    volume(tmp_path / "p1" / "in_phase.nii")
    with pytest.raises(VolumeError, match="two volumes are in_phase of 'p1' by their names"):
        mr_studies(None, "training", mr_dir=tmp_path)


def test_two_echoes_in_a_folder_are_the_phases(tmp_path):
    folder = dual_echo(tmp_path / "made")
    (tmp_path / "mr").mkdir()
    folder.rename(tmp_path / "mr" / "p1")
    paths = [with_echo(tmp_path / "mr" / "p1", echo) for echo in (4.6, 2.3)]
    (study,) = mr_studies(None, "training", ["in_phase", "out_phase"], mr_dir=tmp_path / "mr")
    assert study == {"id": "MR/p1", "image": paths}
    for place in (tmp_path / "mr", tmp_path / "mr" / "p1"):
        (study,) = translation_studies(place, ["in_phase", "out_phase"])
        assert study == {"id": "p1", "image": paths}
    (study,) = mr_studies(None, "training", ["in_phase"], mr_dir=tmp_path / "mr")
    assert study["image"] == paths[:1]


def test_long_echoes_are_no_phases():
    volumes = {with_echo("p1", echo): with_echo("/d/p1", echo) for echo in (12, 96)}
    with pytest.raises(FileNotFoundError, match="none of 2 volumes is named"):
        by_name(volumes, ["in_phase", "out_phase"])
    assert len(by_name(volumes, ["t2"])) == 2


def test_own_folders_are_split_by_study_and_damaged_ones_named(tmp_path):
    for number in range(12):
        volume(tmp_path / f"p{number}.nii")
    parts = [{s["id"] for s in ct_studies(None, part, ct_dir=tmp_path)} for part in ("training", "validation")]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == {f"CT/p{n}" for n in range(12)}
    assert len(parts[1]) >= 2
    (tmp_path / "p0.nii").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 of \d+ studies are left out:\n.*CT/p0: .*header cannot be read"):
        kept = [s["id"] for part in ("training", "validation") for s in ct_studies(None, part, ct_dir=tmp_path)]
    assert set(kept) == {f"CT/p{n}" for n in range(1, 12)}


def test_links_that_lead_back_and_label_maps(tmp_path):
    volume(tmp_path / "p1" / "ct.nii.gz")
    volume(tmp_path / "labelsTr" / "p1.nii.gz")
    series(tmp_path / "p2")
    for place in (tmp_path, tmp_path / "p2"):
        (place / "back").symlink_to(tmp_path, target_is_directory=True)
    assert {s["id"]: s["image"] for s in ct_studies(None, "training", ct_dir=tmp_path)} == {
        "CT/p1": [str(tmp_path / "p1" / "ct.nii.gz")],
        "CT/p2": [str(tmp_path / "p2")],
    }


def test_own_ct_beside_phantoms_of_mr(tmp_path):
    """The phantoms' folder says nothing about a folder of one's own."""
    (tmp_path / "phantoms").mkdir()
    (tmp_path / "phantoms" / "truth.json").write_text("{}")
    for number in range(3):
        volume(tmp_path / "ct" / f"p{number}.nii")
    assert len(ct_studies(tmp_path / "phantoms", "training", ct_dir=tmp_path / "ct")) == 3


def test_slices_and_a_file_of_one_scan_give_the_same_images(tmp_path):
    voxels = np.abs(hu())
    write_dicom_series(tmp_path / "a" / "p1", voxels, AFFINE, "MR", rescale=(1, 0))
    (tmp_path / "b").mkdir()
    nib.save(nib.Nifti1Image(voxels, AFFINE), tmp_path / "b" / "p1.nii.gz")
    studies = [mr_studies(None, "training", ["t2"], mr_dir=tmp_path / name) for name in "ab"]
    images = [mr_slices(16)(dict(study))["image"] for (study,) in studies]
    assert images[0].shape == (1, 6, 16, 16)
    torch.testing.assert_close(images[0].as_tensor(), images[1].as_tensor())
