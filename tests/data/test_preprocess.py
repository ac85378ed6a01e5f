import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandFlipd

import tools.preprocess
from tests.real import REAL, needs_real
from tests.tiny import REPOSITORY
from tools.data.cache import cached_dataset
from tools.data.gsp import gsp_datalist
from tools.data.luna16 import luna16_datalist
from tools.data.phantoms import write_gsp_phantoms
from tools.data.preprocessed import data_provenance, image_transforms, preprocessed_info, t1_transforms
from tools.data.readers import VolumeError, data_files, read_header
from tools.preprocess import preprocess
from tools.transforms import ct, ct_preprocessing, load_volume, t1_preprocessing

SIZE = 16


def write(path, seed=0, shape=(20, 48, 40), oblique=False):
    """A body of 40 HU in noisy air, padded with -2000 HU at two slices' ends."""
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    hu = np.where(x**2 + (y / 0.6) ** 2 < 0.6, 40, -985) + 15 * np.random.default_rng(seed).standard_normal(shape)
    hu[:2] = -2000
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing((0.7 + 0.01 * seed, 0.8, 2.5))
    image.SetOrigin((-10, 20, -30))
    if oblique:
        c, s = np.cos(0.2), np.sin(0.2)
        image.SetDirection((1, 0, 0, 0, c, -s, 0, s, c))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), path.name.endswith("gz"))


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "dataset"
    for k, name in enumerate(["subset0/1.2.a.mhd", "subset1/1.2.b.mhd", "subset9/1.2.c.mhd", "more/d.nii.gz"]):
        write(root / name, seed=k, oblique=k == 1)
    return root


def run(dataset, output, **kwargs):
    preprocess(str(dataset), str(output), **{"image_size": SIZE, "workers": 1, **kwargs})


def tensors(folder, section):
    chain = image_transforms(folder, SIZE)
    return {item["id"]: chain(item)["image"] for item in luna16_datalist(folder, section)}


def test_same_tensors_as_from_the_original(dataset, tmp_path):
    run(dataset, tmp_path / "out")
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
    run(dataset, tmp_path / "out")
    for name in ("subset0/1.2.a", "subset1/1.2.b"):
        expected = ct_preprocessing(SIZE)({"image": str(dataset / f"{name}.mhd")})["image"]
        found = Compose(load_volume())({"image": str(tmp_path / "out" / f"{name}.nii")})["image"]
        torch.testing.assert_close(found.affine, expected.affine, atol=1e-4, rtol=0)
        assert torch.equal(found.as_tensor(), expected.as_tensor())


def test_manifest(dataset, tmp_path, capsys):
    (dataset / "phantom.json").write_text('{"seed": 3}')
    (dataset / "labels.csv").write_text("id,label\n1.2.a,0\n")
    run(dataset, tmp_path / "out")
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
    run(dataset, output)
    files = sorted(output.rglob("*.nii"))
    content, times = [f.read_bytes() for f in files], [f.stat().st_mtime_ns for f in files]
    run(dataset, output)
    assert [f.stat().st_mtime_ns for f in files] == times
    # a result that is damaged, a source that changed, a source that is gone, a new one
    files[1].write_bytes(content[1][:-1])
    write(dataset / "subset9" / "1.2.c.mhd", seed=9)
    (dataset / "more" / "d.nii.gz").unlink()
    write(dataset / "subset2" / "e.mha")
    run(dataset, output)
    assert sorted(preprocessed_info(output)["volumes"]) == ["1.2.a", "1.2.b", "1.2.c", "e"]
    by_name = {f.name: f for f in files}
    old = dict(zip([f.name for f in files], content, strict=True))
    assert by_name["1.2.a.nii"].read_bytes() == old["1.2.a.nii"]
    assert by_name["1.2.b.nii"].read_bytes() == old["1.2.b.nii"]
    assert by_name["1.2.c.nii"].read_bytes() != old["1.2.c.nii"]
    assert len(luna16_datalist(output, "training")) == 3


def test_output_is_deterministic_and_spawned_workers_give_the_same(dataset, tmp_path):
    run(dataset, tmp_path / "one")
    run(dataset, tmp_path / "two", workers=2)
    one, two = (sorted((tmp_path / n).rglob("*.*")) for n in ("one", "two"))
    assert [f.name for f in one] == [f.name for f in two]
    for a, b in zip(one, two, strict=True):
        assert a.is_dir() or a.read_bytes() == b.read_bytes()


def test_bad_volumes_are_left_out_and_recorded(dataset, tmp_path, capsys):
    damaged = data_files(dataset / "subset0" / "1.2.a.mhd")[1]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    blank = sitk.GetImageFromArray(np.full((8, 9, 10), -1024, np.int16))
    sitk.WriteImage(blank, str(dataset / "blank.nii"))  # which only the whole volume shows
    run(dataset, tmp_path / "out")
    info = preprocessed_info(tmp_path / "out")
    assert sorted(info["volumes"]) == ["1.2.b", "1.2.c", "d"]
    assert "its header says" in info["bad"]["subset0/1.2.a.mhd"]
    assert info["bad"]["blank.nii"] == "all of its 8 axial slices are blank"
    printed = capsys.readouterr().out
    assert "2 volumes were left out" in printed
    assert "blank.nii: all of its 8 axial slices are blank" in printed
    # repaired, it is taken in
    write(dataset / "subset0" / "1.2.a.mhd")
    run(dataset, tmp_path / "out")
    info = preprocessed_info(tmp_path / "out")
    assert ("1.2.a" in info["volumes"], list(info["bad"])) == (True, ["blank.nii"])


def test_all_bad(tmp_path):
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkInt16) - 1024, str(tmp_path / "a.nii"))
    with pytest.raises(VolumeError, match=r"none of 1 volumes can be used:\n  a\.nii: all of its 4"):
        run(tmp_path, tmp_path.parent / "out")


def test_failure_that_is_not_the_volumes_is_raised(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(ct, "air_peak", lambda *_: 1 / 0)
    with pytest.raises(RuntimeError, match=r"preprocessing .*d\.nii\.gz failed|preprocessing .*a\.mhd failed"):
        run(dataset, tmp_path / "out")


def test_other_settings_in_the_same_folder(dataset, tmp_path, monkeypatch):
    output = tmp_path / "out"
    run(dataset, output)
    with pytest.raises(
        ValueError, match=r"as ct with image_size 16 and .* asked for is ct with image_size 8 .*tools preprocess"
    ):
        run(dataset, output, image_size=8)
    with pytest.raises(ValueError, match=r"window \[-1024, 600\]; asked for .*window \[-1000, 600\]"):
        run(dataset, output, window=(-1000, 600))
    with pytest.raises(
        ValueError, match=r"asked for is ct with image_size 64 .*--image_size 64 --window '\(-1024,600\)'"
    ):
        image_transforms(output, 64)
    monkeypatch.setattr(ct, "VERSION", -1)
    with pytest.raises(ValueError, match="by another version of the preprocessing"):
        image_transforms(output, SIZE)


def test_folders_that_are_refused(dataset, tmp_path):
    with pytest.raises(ValueError, match="lies in dataset_dir"):
        run(dataset, dataset / "out")
    with pytest.raises(FileNotFoundError, match="no folder"):
        run(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="holds other files"):
        run(dataset, tmp_path / "other")
    with pytest.raises(ValueError, match="workers is 0"):
        run(dataset, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()
    run(dataset, tmp_path / "out")
    with pytest.raises(ValueError, match="is preprocessed already"):
        run(tmp_path / "out", tmp_path / "again")
    (tmp_path / "out" / "preprocessed.json").write_text("{")
    with pytest.raises(ValueError, match=r"preprocessed\.json is damaged"):
        luna16_datalist(tmp_path / "out", "training")


def test_survives_kill(dataset, tmp_path):
    for k in range(60):
        write(dataset / "subset3" / f"k{k:02}.mhd", seed=k)
    output = tmp_path / "out"
    code = f"from tools.preprocess import preprocess; preprocess({str(dataset)!r}, {str(output)!r}, {SIZE}, workers=1)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(output.rglob("*.nii"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (output / "subset0" / ".left.partial.nii").write_bytes(b"half")
    ready = preprocessed_info(output)["volumes"]
    assert 0 < len(ready) < 64
    assert all(read_header(output / v["image"]).shape == (SIZE,) * 3 for v in ready.values())
    with pytest.raises(VolumeError, match=r"was interrupted.*tools preprocess"):
        luna16_datalist(output, "training")
    kept = {i: (output / v["image"]).stat().st_mtime_ns for i, v in ready.items()}
    run(dataset, output)
    info = preprocessed_info(output)
    assert len(info["volumes"]) == 64
    assert all((output / info["volumes"][i]["image"]).stat().st_mtime_ns == t for i, t in kept.items())
    assert not list(output.rglob("*partial*"))


def test_provenance(dataset, tmp_path):
    datalist = luna16_datalist(dataset, "training")
    provenance = data_provenance(dataset, datalist)
    assert json.loads(json.dumps(provenance)) == provenance
    assert (provenance["kind"], provenance["volumes"]) == ("volumes", len(datalist))
    np.testing.assert_allclose(provenance["field_of_view_mm"], [50, 48 * 0.8, 28], atol=1)
    (dataset / "phantom.json").write_text('{"seed": 3}')
    run(dataset, tmp_path / "out")
    for folder in (dataset, tmp_path / "out"):
        other = data_provenance(folder, luna16_datalist(folder, "training"))
        assert (other["kind"], other["phantom"]) == ("phantom", {"seed": 3})
        assert other["ids_sha256"] == provenance["ids_sha256"]
    assert other["preprocessed"]["image_size"] == SIZE
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.1"
    assert data_provenance(tmp_path, [{"image": datalist[0]["image"], "id": uid}])["kind"] == "luna16"


# T1


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    return write_gsp_phantoms(tmp_path_factory.mktemp("t1") / "gsp", 4, shape=(40, 48, 36), lesions="half")


def test_t1_gives_the_same_tensors_as_from_the_original(heads, tmp_path, capsys):
    run(heads, tmp_path / "out", kind="t1")
    assert "4 volumes of 16 voxels" in capsys.readouterr().out
    for section in ("training", "validation"):
        items = gsp_datalist(heads, section), gsp_datalist(tmp_path / "out", section)
        assert [i["id"] for i in items[0]] == [i["id"] for i in items[1]]
        for a, b in zip(*items, strict=True):
            original = t1_transforms(heads, SIZE)(a)["image"]
            ready = t1_transforms(tmp_path / "out", SIZE)(b)["image"]
            assert torch.equal(original, ready)
            assert type(ready) is torch.Tensor
            assert (ready.shape, ready.dtype, ready.is_contiguous()) == ((1, SIZE, SIZE, SIZE), torch.float32, True)
            assert (ready.min(), ready.max() <= 1) == (-1, True)
            assert ready.max() > 0.5
            expected = t1_preprocessing(SIZE)({"image": a["image"]})["image"]
            found = Compose(load_volume())({"image": b["image"]})["image"]
            torch.testing.assert_close(found.affine, expected.affine, atol=1e-4, rtol=0)


def test_t1_manifest_continuation_and_provenance(heads, tmp_path):
    output = tmp_path / "out"
    run(heads, output, kind="t1")
    info = preprocessed_info(output)
    assert (info["kind"], info["image_size"], info["complete"], "window" in info) == ("t1", SIZE, True, False)
    assert info["phantom"]["anatomy"] == "brain"
    assert (output / "labels.csv").read_bytes() == (heads / "labels.csv").read_bytes()
    volume = info["volumes"]["Sub0001_Ses1_Scan_01_ANAT1"]
    assert volume["image"] == "Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1.nii"
    assert volume["white"] > 100
    np.testing.assert_allclose(volume["field_of_view_mm"], volume["field_of_view_mm"][0], rtol=0.03)
    times = [f.stat().st_mtime_ns for f in sorted(output.rglob("*.nii"))]
    run(heads, output, kind="t1")
    assert [f.stat().st_mtime_ns for f in sorted(output.rglob("*.nii"))] == times
    run(heads, tmp_path / "two", kind="t1", workers=2)
    one, two = (sorted((tmp_path / n).rglob("*.nii")) for n in ("out", "two"))
    assert [f.read_bytes() for f in one] == [f.read_bytes() for f in two]
    provenance = data_provenance(output, gsp_datalist(output, "training"))
    assert provenance["preprocessed"] == {"kind": "t1", "image_size": SIZE, "digest": info["digest"]}
    item = {"image": gsp_datalist(heads, "training")[0]["image"], "id": "Sub0001_Ses1_Scan_01_ANAT1"}
    assert data_provenance(tmp_path, [item])["kind"] == "gsp"


def test_kinds_are_not_mixed_up(dataset, heads, tmp_path):
    run(dataset, tmp_path / "ct")
    run(heads, tmp_path / "t1", kind="t1")
    with pytest.raises(ValueError, match=r"as ct with image_size 16 and window .*; asked for is t1 .*--kind t1"):
        t1_transforms(tmp_path / "ct", SIZE)
    with pytest.raises(ValueError, match=r"as t1 with image_size 16; asked for is ct .*--kind ct .*--window"):
        image_transforms(tmp_path / "t1", SIZE)
    with pytest.raises(ValueError, match=r"as t1 with image_size 16; asked for is t1 with image_size 8"):
        run(heads, tmp_path / "t1", kind="t1", image_size=8)
    with pytest.raises(ValueError, match=r"as t1 with image_size 16; asked for is ct"):
        run(heads, tmp_path / "t1")
    with pytest.raises(ValueError, match="kind is 'mr', expected 'ct' or 't1'"):
        run(heads, tmp_path / "out", kind="mr")
    with pytest.raises(ValueError, match="T1 has no window"):
        run(heads, tmp_path / "out", kind="t1", window=(0, 100))


def test_bad_t1_volumes_are_left_out(heads, tmp_path):
    root = tmp_path / "gsp"
    shutil.copytree(heads, root)
    # what only the whole volume shows: a constant one, and a CT among them
    sitk.WriteImage(sitk.Image(8, 9, 10, sitk.sitkInt16) + 3, str(root / "flat.nii"))
    write(root / "ct.nii.gz")
    run(root, tmp_path / "out", kind="t1")
    info = preprocessed_info(tmp_path / "out")
    assert len(info["volumes"]) == 4
    assert info["bad"]["flat.nii"] == "all of its voxels have the value 3"
    assert "expected a magnitude image" in info["bad"]["ct.nii.gz"]


# cache


@pytest.fixture
def loads(monkeypatch):
    """Names of the files that were read, in order."""
    names, read = [], ct.ReplaceNaNd.__call__

    def counting(self, data):
        names.append(Path(data["image"].meta["filename_or_obj"]).name)
        return read(self, data)

    monkeypatch.setattr(ct.ReplaceNaNd, "__call__", counting)
    return names


def cached(dataset, folder, size=SIZE, *random):
    datalist = luna16_datalist(dataset, "training")[:2]
    return cached_dataset(datalist, Compose([image_transforms(dataset, size), *random]), folder)


def test_cache_hits(dataset, tmp_path, loads):
    first = cached(dataset, tmp_path / "cache")[0]
    assert loads == ["1.2.a.mhd"]
    again = cached(dataset, tmp_path / "cache")[0]
    assert loads == ["1.2.a.mhd"]
    assert torch.equal(first["image"], again["image"])
    assert type(first["image"]) is type(again["image"]) is torch.Tensor
    assert first["id"] == again["id"] == "1.2.a"
    flipped = cached(dataset, tmp_path / "cache", SIZE, RandFlipd("image", prob=1.0, spatial_axis=0))[0]
    assert torch.equal(flipped["image"].as_tensor(), first["image"].flip(1))
    assert loads == ["1.2.a.mhd"]
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_cache_misses(dataset, tmp_path, loads, monkeypatch):
    cached(dataset, tmp_path / "cache")[0]
    cached(dataset, tmp_path / "cache", 8)[0]
    assert len(loads) == 2
    raw = data_files(dataset / "subset0" / "1.2.a.mhd")[1]
    os.utime(raw, ns=(0, 0))  # the header is as it was
    cached(dataset, tmp_path / "cache")[0]
    assert len(loads) == 3
    monkeypatch.setattr(ct, "VERSION", -1)
    cached(dataset, tmp_path / "cache")[0]
    assert len(loads) == 4


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_damaged_cache_is_computed_anew(dataset, tmp_path, loads, keep):
    first = cached(dataset, tmp_path / "cache")[0]
    (file,) = (tmp_path / "cache").glob("*.pt")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.warns(UserWarning, match="is computed anew"):
        again = cached(dataset, tmp_path / "cache")[0]
    assert torch.equal(first["image"], again["image"])
    assert len(loads) == 2
    cached(dataset, tmp_path / "cache")[0]
    assert len(loads) == 2


def test_no_cache_and_workers(dataset, tmp_path):
    plain = cached(dataset, None)
    assert pickle.loads(pickle.dumps(cached(dataset, tmp_path / "cache"))) is not None  # for workers that are spawned
    loader = DataLoader(cached(dataset, tmp_path / "cache"), batch_size=2, num_workers=1)
    (batch,) = loader
    assert torch.equal(batch["image"][0], plain[0]["image"])


def test_bad_volume_in_training_is_named(dataset, tmp_path):
    datalist = luna16_datalist(dataset, "training")
    raw = data_files(datalist[0]["image"])[1]
    raw.write_bytes(b"")
    with pytest.raises(RuntimeError) as error:
        cached_dataset(datalist, image_transforms(dataset, SIZE), tmp_path / "cache")[0]
    assert isinstance(error.value.__cause__, VolumeError)
    assert datalist[0]["image"] in str(error.value.__cause__)


@needs_real
def test_real_heads(tmp_path):
    folder = REAL / "brain_t1"
    run(folder, tmp_path / "out", image_size=32, kind="t1")
    with pytest.warns(UserWarning, match="uses the training volumes"):
        raw, ready = (gsp_datalist(f, "validation") for f in (folder, tmp_path / "out"))
    assert len(raw) == len(ready) == 2
    for a, b in zip(raw, ready, strict=True):
        a, b = t1_transforms(folder, 32)(a)["image"], t1_transforms(tmp_path / "out", 32)(b)["image"]
        assert torch.equal(a, b)


@needs_real
def test_real_volumes(tmp_path):
    folder = REAL / "chest_ct"
    run(folder, tmp_path / "out", image_size=32)
    datalist = luna16_datalist(tmp_path / "out", "training", validation_subsets=1)
    item = luna16_datalist(folder, "training", validation_subsets=1)[0]
    a, b = image_transforms(folder, 32)(item), image_transforms(tmp_path / "out", 32)(datalist[0])
    assert torch.equal(a["image"], b["image"])
    assert tools.preprocess.preprocessed_info(tmp_path / "out")["volumes"][item["id"]]["hu_calibrated"]
