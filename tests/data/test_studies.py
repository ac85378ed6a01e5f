"""Folders of CHAOS, whole and damaged, and studies from elsewhere."""

import json
import shutil

import numpy as np
import pytest

from tests.io.test_dicom import AFFINE, hu
from tests.io.test_readers import write
from tools.data.studies import ct_studies, find_series, mr_studies, translation_studies, true_ct
from tools.io import left_out
from tools.io.dicom_writer import write_dicom_series
from tools.io.readers import VolumeError
from tools.io.volume_reader import volume_header

# the numbers of the published training sets
CHAOS_MR = [1, 2, 3, 5, 8, 10, 13, 15, 19, 20, 21, 22, 31, 32, 33, 34, 36, 37, 38, 39]
CHAOS_CT = [1, 2, 5, 6, 8, 10, 14, 16, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]


def series(folder, modality="MR", echo=None, names="IMG-{:05d}.dcm"):
    write_dicom_series(folder, np.abs(hu((6, 6, 3))), AFFINE, modality, rescale=(1, 0), echo_time=echo, names=names)


def patient(folder, modalities=("InPhase", "OutPhase", "T2")):
    for name, echo in (("InPhase", 4.6), ("OutPhase", 2.3)):
        if name in modalities:
            series(folder / "T1DUAL" / "DICOM_anon" / name, echo=echo)
    if "T2" in modalities:
        series(folder / "T2SPIR" / "DICOM_anon")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("chaos")
    for number in CHAOS_MR:
        patient(root / "Train_Sets" / "MR" / str(number))
    for number in CHAOS_CT:
        series(root / "Train_Sets" / "CT" / str(number) / "DICOM_anon", "CT")
    return root


@pytest.fixture
def chaos(tmp_path):
    for number in (1, 2, 10):
        patient(tmp_path / "Train_Sets" / "MR" / str(number))
    return tmp_path


def test_masks_beside_slices_are_passed_over_in_every_layout(tmp_path, monkeypatch):
    """By the list that all datasets share; that CHAOS has them is no news at the end of a run."""
    monkeypatch.setattr(left_out, "_kept", {})
    for number in (1, 2):
        there = tmp_path / "Train_Sets" / "MR" / str(number) / "T2SPIR"
        series(there / "ground")
        series(there / "Labels")
        series(tmp_path / "elsewhere" / str(number))
        (there / "images").symlink_to(tmp_path / "elsewhere" / str(number))
    studies = mr_studies(tmp_path, "training", ["t2"])
    assert [study["image"][0].rsplit("/", 1)[-1] for study in studies] == ["images", "images"]
    assert left_out.summary() == ""


def test_sections_divide_the_patients(whole):
    for studies, count in ((mr_studies, len(CHAOS_MR)), (ct_studies, len(CHAOS_CT))):
        sections = [{s["id"] for s in studies(whole, name)} for name in ("training", "validation")]
        assert not sections[0] & sections[1]
        assert len(sections[0] | sections[1]) == count
        assert len(sections[1]) >= 2


def test_paths_come_in_the_order_of_the_modalities(whole):
    for modalities, parts in (
        (("in_phase", "out_phase"), ("InPhase", "OutPhase")),
        (("t2", "in_phase"), ("T2SPIR", "InPhase")),
        (("out_phase",), ("OutPhase",)),
    ):
        for study in mr_studies(whole, "training", modalities):
            assert len(study["image"]) == len(parts)
            assert all(part in path for part, path in zip(parts, study["image"], strict=True))
            assert all(f"/{study['id']}/" in path for path in study["image"])


def test_pool_makes_every_volume_a_study(whole):
    pooled = mr_studies(whole, "training", pool=True)
    assert len(pooled) == 2 * len(mr_studies(whole, "training"))
    assert {s["id"].split("/")[-1] for s in pooled} == {"in_phase", "out_phase"}
    assert all(len(s["image"]) == 1 for s in pooled)


def test_phases_in_one_folder_are_told_apart_by_echo_time(chaos):
    dual = chaos / "Train_Sets" / "MR" / "2" / "T1DUAL" / "DICOM_anon"
    shutil.rmtree(dual)
    series(dual, echo=2.3)
    series(dual.parent / "second", echo=4.6, names="later-{:05d}.dcm")
    for file in (dual.parent / "second").iterdir():
        file.rename(dual / file.name)
    (dual.parent / "second").rmdir()
    (study,) = (s for s in translation_studies(chaos, ["in_phase", "out_phase"]) if s["id"] == "MR/2")
    assert study["image"] == [f"{dual}#echo=4.6", f"{dual}#echo=2.3"]
    for file in dual.glob("later*"):
        file.unlink()
    with pytest.warns(UserWarning, match=r"expected two echo times.*found \[2.3\]"):
        assert [s["id"] for s in mr_studies(chaos, "training", ["t2"])] == ["MR/1", "MR/2", "MR/10"]
    with pytest.warns(UserWarning, match="MR/2: has t2, lacks in_phase"):
        assert [s["id"] for s in mr_studies(chaos, "training", ["in_phase"])] == ["MR/1", "MR/10"]
    with (
        pytest.warns(UserWarning, match="expected two echo times"),
        pytest.raises(VolumeError, match="MR/2: has t2, lacks in_phase"),
    ):
        translation_studies(chaos, ["in_phase"])


def test_studies_that_lack_a_modality_are_named(chaos):
    shutil.rmtree(chaos / "Train_Sets" / "MR" / "10" / "T1DUAL" / "DICOM_anon" / "OutPhase")
    with pytest.warns(UserWarning, match="MR/10: has in_phase, t2, lacks out_phase"):
        assert [s["id"] for s in mr_studies(chaos, "training")] == ["MR/1", "MR/2"]
    with pytest.raises(VolumeError, match="MR/10: has in_phase, t2, lacks out_phase"):
        translation_studies(chaos, ["in_phase", "out_phase"])
    assert len(translation_studies(chaos, ["in_phase"])) == 3


def test_damaged_studies_are_named_and_skipped(chaos):
    bad = chaos / "Train_Sets" / "MR" / "2" / "T1DUAL" / "DICOM_anon" / "InPhase"
    next(iter(sorted(bad.iterdir())[1:])).unlink()
    for file in bad.iterdir():
        shutil.copy(file, bad / f"copy_{file.name}")
    with pytest.warns(UserWarning, match=r"1 of 3 studies are left out:\n.*MR/2: .*same position"):
        assert len(mr_studies(chaos, "training")) == 2


def test_few_patients_are_all_validated_on(chaos):
    with pytest.warns(UserWarning, match="uses the training MR studies too"):
        assert len(mr_studies(chaos, "validation")) == 3
    assert len(mr_studies(chaos, "training")) == 3


def test_phantoms_are_split_by_their_folders(chaos):
    patient(chaos / "Test_Sets" / "MR" / "31")
    truth = {"classes": {"1": "air"}, "studies": {"MR/31": {"ct": "Truth/31/ct.nii.gz", "labels": "Truth/31/l.nii.gz"}}}
    assert true_ct(chaos) == {}
    (chaos / "truth.json").write_text(json.dumps(truth))
    assert [s["id"] for s in mr_studies(chaos, "validation")] == ["MR/31"]
    assert [s["id"] for s in mr_studies(chaos, "training")] == ["MR/1", "MR/2", "MR/10"]
    assert true_ct(chaos)["MR/31"]["ct"] == str(chaos / "Truth" / "31" / "ct.nii.gz")


def test_volumes_from_elsewhere(chaos, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write(other / "a.nii")
    (other / "b").mkdir()
    write(other / "b" / "c.nii.gz")
    series(other / "d" / "e")
    assert set(find_series(other)) == {"a", "b/c", "d/e"}
    extra = mr_studies(chaos, "training", ["in_phase"], extra_dir=other)
    assert [s["id"] for s in extra[-3:]] == ["extra/a", "extra/b/c", "extra/d/e"]
    with pytest.warns(UserWarning, match="uses the training MR studies too"):
        assert len(mr_studies(chaos, "validation", ["in_phase"], extra_dir=other)) == 3
    with pytest.raises(ValueError, match=r"one modality each, but studies are to have \['in_phase', 'out_phase'\]"):
        mr_studies(chaos, "training", extra_dir=other)
    assert {s["id"] for s in ct_studies(chaos, "training", ct_dir=other)} <= {"CT/a", "CT/b/c", "CT/d/e"}


def test_what_can_be_translated(chaos, tmp_path_factory):
    one = chaos / "Train_Sets" / "MR" / "10"
    assert [s["id"] for s in translation_studies(one, ["in_phase", "t2"])] == ["MR/10"]
    folder = one / "T2SPIR" / "DICOM_anon"
    assert translation_studies(folder, ["t2"])[0]["image"] == [str(folder)]
    files = tmp_path_factory.mktemp("files")
    for name in ("p1_in_phase.nii", "p1_out_phase.nii", "p1_t2.nii"):
        write(files / name)
    (files / "p2").mkdir()
    for name in ("in_phase.nii.gz", "out_phase.nii.gz"):
        write(files / "p2" / name)
    studies = translation_studies(files, ["in_phase", "out_phase"])
    assert [s["id"] for s in studies] == ["p1", "p2"]
    assert studies[1]["image"] == [str(files / "p2" / f"{m}.nii.gz") for m in ("in_phase", "out_phase")]
    assert translation_studies(files / "p1_t2.nii", ["in_phase"])[0]["id"] == "p1_t2"
    with pytest.raises(VolumeError, match="p2: has in_phase, lacks t2"):
        translation_studies(files, ["in_phase", "t2"])
    with pytest.raises(VolumeError, match="p1_t2: has in_phase, lacks out_phase"):
        translation_studies(files / "p1_t2.nii", ["in_phase", "out_phase"])
    write(files / "unnamed.nii")
    assert "unnamed" in {s["id"] for s in translation_studies(files, ["in_phase"])}
    assert volume_header(studies[0]["image"][0]).shape == (11, 10, 9)


def test_nothing_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is nothing at"):
        translation_studies(tmp_path / "no", ["in_phase"])
    with pytest.raises(FileNotFoundError, match="there is no volume in"):
        translation_studies(tmp_path, ["in_phase"])
    with pytest.raises(FileNotFoundError, match="there is no MR in"):
        mr_studies(tmp_path, "training")
    with pytest.raises(FileNotFoundError, match="there is no CT in"):
        ct_studies(tmp_path, "training")
    with pytest.raises(ValueError, match=r"CHAOS has no 'flair', expected one of in_phase, out_phase, t2, ct"):
        mr_studies(tmp_path, "training", ["flair"])
    write(tmp_path / "a_ct.nii")
    with pytest.raises(FileNotFoundError, match=r"none of 1 volumes is named.*<id>_in_phase"):
        translation_studies(tmp_path, ["in_phase", "out_phase"])
