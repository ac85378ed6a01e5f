"""Abdomen phantoms on disk: what CHAOS's readers find, and what a checked translation needs."""

import csv
import json
from functools import partial

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tools.data.phantoms import chaos
from tools.data.phantoms.abdomen import abdomen_ct, abdomen_t1, abdomen_t2, abdomen_true_ct
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.chaos import ct_shape, split, t2_shape, write_chaos_phantoms
from tools.phantom import phantom

SMALL = (16, 24, 24)
IN_PHASE = "T1DUAL/DICOM_anon/InPhase"
OUT_PHASE = "T1DUAL/DICOM_anon/OutPhase"
T2 = "T2SPIR/DICOM_anon"
CT = "DICOM_anon"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms") / "deep" / "chaos"
    return write_chaos_phantoms(root, 6, seed=3, shape=SMALL, progress=False)


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def slices(path):
    """Slices of a folder in the order of their position."""
    found = [pydicom.dcmread(p) for p in path.iterdir()]
    return sorted(found, key=lambda s: s.ImagePositionPatient[2])


def values(path):
    """Pixels [z, y, x] after rescaling."""
    return np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices(path)])


def read_by_itk(path):
    """A series as SimpleITK reads files in the order of their position."""
    by_position = sorted(path.iterdir(), key=lambda p: pydicom.dcmread(p).ImagePositionPatient[2])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(p) for p in by_position])
    return reader.Execute()


@pytest.mark.parametrize(("count", "expected"), [(4, (1, 1, 2)), (5, (2, 1, 2)), (16, (6, 6, 4)), (40, (15, 15, 10))])
def test_bodies_are_shared_out(count, expected):
    assert split(count) == expected
    assert sum(split(count)) == count


def test_layout_is_that_of_chaos(folder):
    found = {p.parent.relative_to(folder).as_posix() for p in folder.rglob("*.dcm")}
    mr = {f"Train_Sets/MR/{n}" for n in (1, 2)} | {f"Test_Sets/MR/{n}" for n in (3, 4)}
    ct = {f"Train_Sets/CT/{n}" for n in (1, 2)} | {f"Test_Sets/CT/{n}" for n in (3, 4)}
    assert found == {f"{m}/{s}" for m in mr for s in (IN_PHASE, OUT_PHASE, T2)} | {f"{c}/{CT}" for c in ct}
    assert len(list((folder / "Train_Sets/MR/1" / IN_PHASE).iterdir())) == SMALL[0]
    assert len(list((folder / "Train_Sets/MR/1" / T2).iterdir())) == t2_shape(SMALL)[0]
    assert len(list((folder / "Train_Sets/CT/1" / CT).iterdir())) == ct_shape(SMALL)[0]


def test_files_have_the_peculiarities_of_chaos(folder):
    patient = folder / "Train_Sets/MR/1"
    headers = {kind: slices(patient / kind) for kind in (IN_PHASE, OUT_PHASE, T2)}
    for series in (*headers.values(), slices(folder / "Train_Sets/CT/1" / CT)):
        assert len({s.SeriesInstanceUID for s in series}) == len(series)
        assert len({s.SOPInstanceUID for s in series}) == len(series)
        assert len({s.FrameOfReferenceUID for s in series}) == 1
    echoes = {kind: {float(s.EchoTime) for s in series} for kind, series in headers.items()}
    assert echoes == {IN_PHASE: {4.6}, OUT_PHASE: {2.3}, T2: {70.0}}
    assert {s.FrameOfReferenceUID for series in headers.values() for s in series} == {
        headers[T2][0].FrameOfReferenceUID
    }
    assert {(s.BitsAllocated, s.BitsStored) for series in headers.values() for s in series} == {(16, 12)}
    # the shorter echo of each slice comes first
    numbers = {kind: sorted(int(p.stem[-5:]) for p in (patient / kind).iterdir()) for kind in (IN_PHASE, OUT_PHASE)}
    assert numbers[OUT_PHASE] == list(range(1, 2 * SMALL[0], 2))
    assert numbers[IN_PHASE] == list(range(2, 2 * SMALL[0] + 1, 2))
    assert headers[T2][0].PixelSpacing != headers[IN_PHASE][0].PixelSpacing


def test_ct_comes_with_and_without_a_sign(folder):
    kinds = set()
    for number, section in ((1, "Train_Sets"), (2, "Train_Sets"), (3, "Test_Sets")):
        path = folder / section / "CT" / str(number) / CT
        header = slices(path)[0]
        assert header.BitsStored == 16
        kinds.add((header.PixelRepresentation, float(header.RescaleIntercept)))
        hu = values(path)
        assert hu.min() < -900
        assert hu.max() > 300
    assert kinds == {(0, -1024.0), (1, 0.0)}


def test_written_images_are_the_phantoms(folder):
    body = AbdomenBody.draw([3, 0, 1])
    patient = folder / "Train_Sets/MR/2"
    expected = dict(zip((IN_PHASE, OUT_PHASE), abdomen_t1(body, SMALL), strict=True))
    expected[T2] = abdomen_t2(body, t2_shape(SMALL))
    for kind, volume in expected.items():
        np.testing.assert_array_equal(values(patient / kind), volume.image)
        image = read_by_itk(patient / kind)
        assert image.GetSpacing() == pytest.approx(volume.spacing, abs=1e-3)
        assert image.GetOrigin() == pytest.approx(volume.origin, abs=1e-3)
        assert image.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
    ct = abdomen_ct(AbdomenBody.draw([3, 1, 0]), ct_shape(SMALL))
    image = read_by_itk(folder / "Train_Sets/CT/1" / CT)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.maximum(ct.image, -1024))
    assert image.GetOrigin() == pytest.approx(ct.origin, abs=1e-3)


def test_training_is_unpaired_and_the_test_is_paired(folder):
    volumes = {(v["section"], v["id"]): v for v in json.loads((folder / "phantom.json").read_text())["volumes"]}
    assert len(volumes) == 8
    fat = {key: v["liver_fat"] for key, v in volumes.items()}
    assert len({fat[key] for key in fat if key[0] == "training"}) == 4
    for number in (3, 4):
        assert fat["validation", f"MR/{number}"] == fat["validation", f"CT/{number}"]
        mr = sitk.GetArrayFromImage(read_by_itk(folder / f"Test_Sets/MR/{number}" / IN_PHASE))
        truth = sitk.ReadImage(str(folder / f"Truth/{number}/ct.nii.gz"))
        # body and air are told apart by both alike
        body = sitk.GetArrayFromImage(truth) > -500
        assert mr[body].mean() > 5 * mr[~body].mean()
    with (folder / "labels.csv").open() as file:
        labels = {row["id"]: int(row["label"]) for row in csv.DictReader(file)}
    assert labels == {v["id"]: v["label"] for v in volumes.values()}
    assert all(v["label"] == (v["liver_fat"] > 0.056) for v in volumes.values())


def test_truth_lies_on_the_grid_of_the_in_phase_image(folder):
    truth = json.loads((folder / "truth.json").read_text())
    assert set(truth["studies"]) == {"MR/3", "MR/4"}
    assert set(truth["classes"].values()) == {"air", "lung", "soft", "fat", "bone"}
    body = AbdomenBody.draw([3, 2, 0])
    expected = abdomen_true_ct(body, SMALL)
    image = read_by_itk(folder / "Test_Sets/MR/3" / IN_PHASE)
    for name, array in (("ct", expected.image), ("labels", expected.labels)):
        found = sitk.ReadImage(str(folder / truth["studies"]["MR/3"][name]))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(found), array)
        assert found.GetSize() == image.GetSize()
        assert found.GetSpacing() == pytest.approx(image.GetSpacing(), abs=1e-3)
        assert found.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-3)
    assert set(np.unique(expected.labels)) <= {int(label) for label in truth["classes"]}
    assert set(truth["names"]) == set(truth["classes"])


def test_same_settings_same_bytes_and_reuse(folder, tmp_path, monkeypatch):
    write = partial(write_chaos_phantoms, seed=3, shape=SMALL, progress=False)
    first, second = write(tmp_path / "a", 4), write(tmp_path / "b", 4)
    assert tree(first) == tree(second)
    train = {name: content for name, content in tree(first).items() if name.parts[0] == "Train_Sets"}
    assert train.items() <= tree(folder).items()  # more bodies leave the others as they are
    monkeypatch.setattr(chaos, "_write", lambda *_: pytest.fail("written again"))
    assert write(tmp_path / "a", 4) == first
    with pytest.raises(FileExistsError, match="contrast is True there, False is asked for"):
        write(tmp_path / "a", 4, contrast=False)


def test_without_contrast_mr_is_the_same_and_ct_another(folder, tmp_path):
    plain = tree(write_chaos_phantoms(tmp_path / "p", 6, seed=3, shape=SMALL, contrast=False, progress=False))
    differ = {name for name, content in tree(folder).items() if plain[name] != content}
    assert {"Test_Sets/CT/3/DICOM_anon/IMG-0001-00001.dcm", "Truth/3/ct.nii.gz"} <= {n.as_posix() for n in differ}
    assert not any("MR" in name.parts or name.name == "labels.nii.gz" for name in differ)


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(chaos, "write_dicom_series", fail)
    with pytest.raises(OSError, match="disk full"):
        write_chaos_phantoms(tmp_path / "p", 4, shape=SMALL, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"count": 3}, "count must be at least 4"), ({"seed": -1}, "seed"), ({"shape": (8, 24, 24)}, "shape")],
)
def test_bad_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_chaos_phantoms(tmp_path / "p", **{"count": 4, "shape": SMALL, "progress": False, **arguments})
    assert not list(tmp_path.iterdir())


# the command


def test_command_writes_and_previews(tmp_path, capsys):
    phantom(str(tmp_path / "p"), anatomy="abdomen", count=4, image_size=[16, 24, 24], contrast=False)
    out = capsys.readouterr().out
    assert "6 abdomen studies, MR or CT, of 16 x 24 x 24 voxels" in out
    assert "2 to train on, 4 (Test_Sets) to validate" in out
    assert (tmp_path / "p" / "preview.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="nodules is 'half', but an abdomen has none"):
        phantom(str(tmp_path / "q"), anatomy="abdomen", nodules="half")
    with pytest.raises(ValueError, match="contrast is True, but a thorax has none"):
        phantom(str(tmp_path / "q"), contrast=True)
