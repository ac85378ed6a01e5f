import json
import os
import shutil
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.transforms import Compose

import tools.preprocess
from tests.data.scans import SIZE, prepare, write_ct
from tests.forms import assert_forms
from tests.processes import forkserver
from tests.real import REAL, needs_real
from tools.data.cubes import Cubes
from tools.data.preprocessed import preprocessed_info
from tools.data.provenance import data_provenance
from tools.data.volumes import section_datalist
from tools.io.readers import VolumeError, data_files, read_header
from tools.transforms import ct
from tools.transforms.ct import ct_preprocessing
from tools.transforms.spatial import load_volume


def tensors(folder, section):
    chain = Cubes("ct", folder, SIZE).transform
    return {item["id"]: chain(item)["image"] for item in section_datalist("luna16", folder, section)}


def test_same_tensors_as_from_the_original(dataset, tmp_path):
    prepare(dataset, tmp_path / "out")
    for section in ("training", "validation"):
        raw, ready = tensors(dataset, section), tensors(tmp_path / "out", section)
        assert list(raw) == list(ready)
        for a, b in zip(raw.values(), ready.values(), strict=True):
            assert torch.equal(a, b)
            assert type(b) is torch.Tensor
            assert (b.shape, b.dtype, b.is_contiguous()) == ((1, SIZE, SIZE, SIZE), torch.float32, True)
            assert b.min() >= -1
            assert b.max() <= 1
            assert b.min() < -0.9 < b.max()


def test_affine_in_the_file_is_true(dataset, tmp_path):
    prepare(dataset, tmp_path / "out")
    for name in ("subset0/1.2.a", "subset1/1.2.b"):
        expected = ct_preprocessing(SIZE)({"image": str(dataset / f"{name}.mhd")})["image"]
        found = Compose(load_volume())({"image": str(tmp_path / "out" / f"{name}.nii")})["image"]
        torch.testing.assert_close(found.affine, expected.affine, atol=1e-4, rtol=0)
        assert_forms(tmp_path / "out" / f"{name}.nii")
        assert torch.equal(found.as_tensor(), expected.as_tensor())


def test_manifest(dataset, tmp_path, capsys):
    (dataset / "phantom.json").write_text('{"seed": 3}')
    (dataset / "labels.csv").write_text("id,label\n1.2.a,0\n")
    prepare(dataset, tmp_path / "out")
    info = preprocessed_info(tmp_path / "out")
    assert (tmp_path / "out" / "labels.csv").read_text() == (dataset / "labels.csv").read_text()
    assert (info["kind"], info["image_size"], info["window"], info["complete"]) == ("ct", SIZE, [-1024, 600], True)
    assert info["phantom"] == {"seed": 3}
    # 18 slices of 2.5 mm remain of 20
    np.testing.assert_allclose(info["field_of_view_mm"], [18 * 2.5, 48 * 0.8, 40 * 0.715], atol=1e-2)
    volume = info["volumes"]["1.2.a"]
    assert (volume["image"], volume["source"]) == ("subset0/1.2.a.nii", "subset0/1.2.a.mhd")
    assert volume["air_peak"] == pytest.approx(-985, abs=3)
    assert volume["hu_calibrated"]
    assert "4 volumes of 16 voxels" in capsys.readouterr().out
    assert preprocessed_info(dataset) is None


def test_continues_and_notices_changes(dataset, tmp_path):
    output = tmp_path / "out"
    prepare(dataset, output)
    files = sorted(output.rglob("*.nii"))
    content, times = [f.read_bytes() for f in files], [f.stat().st_mtime_ns for f in files]
    prepare(dataset, output)
    assert [f.stat().st_mtime_ns for f in files] == times
    # a result that is damaged, a source that changed, a source that is gone, a new one
    files[1].write_bytes(content[1][:-1])
    write_ct(dataset / "subset9" / "1.2.c.mhd", seed=9)
    (dataset / "more" / "d.nii.gz").unlink()
    write_ct(dataset / "subset2" / "e.mha")
    prepare(dataset, output)
    assert sorted(preprocessed_info(output)["volumes"]) == ["1.2.a", "1.2.b", "1.2.c", "e"]
    by_name = {f.name: f for f in files}
    old = dict(zip([f.name for f in files], content, strict=True))
    assert by_name["1.2.a.nii"].read_bytes() == old["1.2.a.nii"]
    assert by_name["1.2.b.nii"].read_bytes() == old["1.2.b.nii"]
    assert by_name["1.2.c.nii"].read_bytes() != old["1.2.c.nii"]
    assert len(section_datalist("luna16", output, "training")) == 3


def test_output_is_deterministic_and_workers_give_the_same(dataset, tmp_path, quick_workers):
    prepare(dataset, tmp_path / "one")
    prepare(dataset, tmp_path / "two", workers=2)
    one, two = (sorted((tmp_path / n).rglob("*.*")) for n in ("one", "two"))
    assert [f.name for f in one] == [f.name for f in two]
    for a, b in zip(one, two, strict=True):
        assert a.is_dir() or a.read_bytes() == b.read_bytes()


def test_bad_volumes_are_left_out_and_recorded(dataset, tmp_path, capsys):
    damaged = data_files(dataset / "subset0" / "1.2.a.mhd")[1]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    blank = sitk.GetImageFromArray(np.full((8, 9, 10), -1024, np.int16))
    sitk.WriteImage(blank, str(dataset / "blank.nii"))  # which only the whole volume shows
    prepare(dataset, tmp_path / "out")
    info = preprocessed_info(tmp_path / "out")
    assert sorted(info["volumes"]) == ["1.2.b", "1.2.c", "d"]
    assert "its header says" in info["bad"]["subset0/1.2.a.mhd"]
    assert info["bad"]["blank.nii"] == "all of its 8 axial slices are blank"
    printed = capsys.readouterr().out
    assert "2 volumes were left out" in printed
    assert "blank.nii: all of its 8 axial slices are blank" in printed
    # repaired, it is taken in
    write_ct(dataset / "subset0" / "1.2.a.mhd")
    prepare(dataset, tmp_path / "out")
    info = preprocessed_info(tmp_path / "out")
    assert ("1.2.a" in info["volumes"], list(info["bad"])) == (True, ["blank.nii"])


def test_what_looks_wrong_is_named_at_the_end(dataset, tmp_path, capsys):
    """Left out: label maps, CT without its intercept, MR; used, and named too: a CT that shows no air."""
    ct = sitk.ReadImage(str(dataset / "more" / "d.nii.gz"))
    hu = sitk.GetArrayFromImage(ct)
    rng = np.random.default_rng(0)
    for name, voxels in {
        "imagesTr/case_0000": hu,
        "labelsTr/case": hu > -500,
        "masks_of_mine": (hu > -500) * 3,
        "offset": hu + 1024,
        "share": (hu.clip(-1000, 1000) + 1000) / 2000,
        "mr": np.abs(np.where(hu > -500, 500, 0) + rng.normal(0, 20, hu.shape)),
        "inside": rng.normal(50, 15, hu.shape),
    }.items():
        image = sitk.GetImageFromArray(voxels.astype(np.float32 if name == "share" else np.int16))
        image.CopyInformation(ct)
        path = dataset / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        sitk.WriteImage(image, str(path))
    prepare(dataset, tmp_path / "out")
    info = preprocessed_info(tmp_path / "out")
    assert sorted(info["volumes"]) == ["1.2.a", "1.2.b", "1.2.c", "case_0000", "d", "inside"]
    printed = capsys.readouterr().out
    assert "1 of them look wrong, and are used:\n  inside.nii.gz: it shows no air outside the body, so its" in printed
    assert "4 volumes were left out:\n" in printed
    for name, reason in {
        "masks_of_mine": "it is a label map",
        "offset": "rescale intercept was lost. Subtract 1024",
        "share": r"it was scaled to [0, 1]",
        "mr": "Is it MR?",
    }.items():
        (line,) = (line for line in printed.splitlines() if line.startswith(f"  {name}.nii.gz: "))
        assert reason in line
    assert f"{dataset / 'labelsTr'}: label maps, by the name of the folder" in printed


def test_names_of_files_may_be_any(dataset, tmp_path):
    """No UTF-8, and as long as a file system takes."""
    long = dataset / ("x" * 251 + ".mha")
    write_ct(long)
    folder = os.fsdecode(os.fsencode(dataset) + b"/K\xf6ln")
    os.mkdir(folder)
    os.rename(dataset / "more" / "d.nii.gz", os.path.join(folder, os.fsdecode(b"M\xfcller.nii.gz")))
    prepare(dataset, tmp_path / "out")
    info = preprocessed_info(tmp_path / "out")
    assert sorted(info["volumes"]) == ["1.2.a", "1.2.b", "1.2.c", "Müller", "x" * 251]
    assert info["volumes"]["Müller"]["image"] == "Köln/Müller.nii"
    assert info["volumes"]["Müller"]["source"] == "Köln/Müller.nii.gz"
    (tmp_path / "out" / "preprocessed.json").read_text(encoding="utf-8").encode()  # no half surrogates
    times = [f.stat().st_mtime_ns for f in sorted((tmp_path / "out").rglob("*.nii"))]
    prepare(dataset, tmp_path / "out")  # known again by their names
    assert [f.stat().st_mtime_ns for f in sorted((tmp_path / "out").rglob("*.nii"))] == times


def test_all_bad(tmp_path):
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkInt16) - 1024, str(tmp_path / "a.nii"))
    with pytest.raises(VolumeError, match=r"none of 1 volumes can be used:\n  a\.nii: all of its 4"):
        prepare(tmp_path, tmp_path.parent / "out")


def test_failure_that_is_not_the_volumes_is_raised(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(ct, "air_peak", lambda *_: 1 / 0)
    with pytest.raises(RuntimeError, match=r"preprocessing .*d\.nii\.gz failed|preprocessing .*a\.mhd failed"):
        prepare(dataset, tmp_path / "out")


def test_other_settings_in_the_same_folder(dataset, tmp_path, monkeypatch):
    output = tmp_path / "out"
    prepare(dataset, output)
    with pytest.raises(
        ValueError, match=r"as ct with image_size 16 and .* asked for is ct with image_size 8 .*tools preprocess"
    ):
        prepare(dataset, output, image_size=8)
    with pytest.raises(ValueError, match=r"window \[-1024, 600\]; asked for .*window \[-1000, 600\]"):
        prepare(dataset, output, window=(-1000, 600))
    with pytest.raises(
        ValueError, match=r"asked for is ct with image_size 64 .*--image_size 64 --window '\(-1024,600\)'"
    ):
        Cubes("ct", output, 64)
    monkeypatch.setattr(ct, "VERSION", -1)
    with pytest.raises(ValueError, match="by another version of the preprocessing"):
        Cubes("ct", output, SIZE)


def test_folders_that_are_refused(dataset, tmp_path):
    with pytest.raises(ValueError, match="lies in dataset_dir"):
        prepare(dataset, dataset / "out")
    with pytest.raises(FileNotFoundError, match="no folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="holds other files"):
        prepare(dataset, tmp_path / "other")
    with pytest.raises(ValueError, match="workers is 0"):
        prepare(dataset, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()
    prepare(dataset, tmp_path / "out")
    with pytest.raises(ValueError, match="is preprocessed already"):
        prepare(tmp_path / "out", tmp_path / "again")
    (tmp_path / "out" / "preprocessed.json").write_text("{")
    with pytest.raises(ValueError, match=r"preprocessed\.json is damaged"):
        section_datalist("luna16", tmp_path / "out", "training")


def killed_while_writing(dataset, output):
    """The third volume is half written when the process is killed."""
    write, written = nib.save, []

    def killed(image, path, *rest):
        write(image, path, *rest)
        written.append(path)
        if len(written) == 3:
            Path(path).write_bytes(Path(path).read_bytes()[:500])
            os.kill(os.getpid(), signal.SIGKILL)

    nib.save = killed
    prepare(dataset, output)


def test_survives_kill(dataset, tmp_path):
    output = tmp_path / "out"
    process = forkserver().Process(target=killed_while_writing, args=(dataset, output))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(output.rglob("*partial*"))) == 1
    ready = preprocessed_info(output)["volumes"]
    assert len(ready) == 2
    assert all(read_header(output / v["image"]).shape == (SIZE,) * 3 for v in ready.values())
    with pytest.raises(VolumeError, match=r"was interrupted.*tools preprocess"):
        section_datalist("luna16", output, "training")
    kept = {i: (output / v["image"]).stat().st_mtime_ns for i, v in ready.items()}
    prepare(dataset, output)
    info = preprocessed_info(output)
    assert len(info["volumes"]) == 4
    assert all((output / info["volumes"][i]["image"]).stat().st_mtime_ns == t for i, t in kept.items())
    assert not list(output.rglob("*partial*"))


def test_provenance(dataset, tmp_path):
    datalist = section_datalist("luna16", dataset, "training")
    provenance = data_provenance(dataset, datalist)
    assert json.loads(json.dumps(provenance)) == provenance
    assert (provenance["kind"], provenance["volumes"]) == ("volumes", len(datalist))
    assert "field_of_view_mm" not in provenance  # only cubes of whole volumes have one, and it is theirs
    (dataset / "phantom.json").write_text('{"seed": 3}')
    prepare(dataset, tmp_path / "out")
    for folder in (dataset, tmp_path / "out"):
        other = data_provenance(folder, section_datalist("luna16", folder, "training"))
        assert (other["kind"], other["phantom"]) == ("phantom", {"seed": 3})
        assert other["ids_sha256"] == provenance["ids_sha256"]
    assert other["preprocessed"]["image_size"] == SIZE
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.1"
    assert data_provenance(tmp_path, [{"image": datalist[0]["image"], "id": uid}])["kind"] == "luna16"


@needs_real
def test_real_volumes(tmp_path):
    folder = REAL / "chest_ct"
    prepare(folder, tmp_path / "out", image_size=32)
    datalist = section_datalist("luna16", tmp_path / "out", "training", validation_folds=1)
    item = section_datalist("luna16", folder, "training", validation_folds=1)[0]
    a, b = Cubes("ct", folder, 32).transform(item), Cubes("ct", tmp_path / "out", 32).transform(datalist[0])
    assert torch.equal(a["image"], b["image"])
    assert tools.preprocess.preprocessed_info(tmp_path / "out")["volumes"][item["id"]]["hu_calibrated"]


def test_odd_files_end_nothing(dataset, tmp_path):
    """Each is left out with its reason, or prepared; none ends the run, or the process."""
    good = nib.load(dataset / "more" / "d.nii.gz")
    voxels, affine = np.asarray(good.dataobj), good.affine
    nib.save(nib.Nifti1Image(voxels[:, :, :1], affine), dataset / "slice.nii.gz")
    sheared = affine + np.diag([0.5, 0, 0, 0])[:, [1, 0, 2, 3]]
    nib.save(nib.Nifti1Image(voxels, sheared), dataset / "sheared.nii.gz")
    (dataset / "subset0" / "deep.mhd").write_text("NDims = 99999999\nDimSize = 9 9 9\nElementDataFile = deep.raw\n")
    long = "x" * 248
    shutil.copy(dataset / "more" / "d.nii.gz", dataset / "more" / f"{long}.nii.gz")
    nib.save(nib.Nifti2Image(voxels, affine), dataset / "100%d.nii")
    prepare(dataset, tmp_path / "out")
    info = preprocessed_info(tmp_path / "out")
    assert set(info["bad"]) == {"slice.nii.gz", "sheared.nii.gz", "subset0/deep.mhd"}
    assert "expected a volume with 2 or more along every axis" in info["bad"]["slice.nii.gz"]
    assert set(info["volumes"]) == {"1.2.a", "1.2.b", "1.2.c", "d", long, "100%d"}
    assert {
        item["id"]
        for section in ("training", "validation")
        for item in section_datalist("luna16", tmp_path / "out", section)
    }
