"""DICOM series wherever volumes are taken: training of GANs, preprocessing, reconstruction, evaluation."""

import json
import os
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.data.scans import prepare, write_ct
from tests.io.test_dicom import change
from tests.tiny import REPOSITORY, one_of_each_family, siblings, train_config
from tools.benchmark.configs import read_config
from tools.data.cubes import Cubes
from tools.data.image_sets import find_images, read_image
from tools.data.volumes import section_datalist, volume_datalist
from tools.engines.latents import LatentDataset
from tools.io.dicom_writer import write_dicom_series
from tools.io.readers import read_volume

GANS = [name for name in sorted([*one_of_each_family(), *siblings()]) if "cubes" in train_config(name)]
"""Others say nothing in their configs that these do not say."""


def as_dicom(file, folder):
    """Writes a file's scan as a series too, and the file again with the values that DICOM can hold."""
    voxels, header = read_volume(str(file))
    voxels = voxels.clip(-1024)
    write_dicom_series(folder, voxels, header.affine)
    nib.save(nib.Nifti1Image(voxels, header.affine), file)


@pytest.fixture
def scans(tmp_path):
    """Two patients as files, and the same as DICOM, whose folders have the same name."""
    for number, name in enumerate(("anna", "bert")):
        file = tmp_path / "files" / f"{name}.nii"
        write_ct(file, seed=number, oblique=number == 1)
        as_dicom(file, tmp_path / "slices" / name / "series")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*for validation")
def test_series_are_volumes_with_the_path_as_id(scans):
    for section in ("training", "validation"):
        found = section_datalist("luna16", scans / "slices", section)
        assert found == [
            {"image": str(scans / "slices" / name / "series"), "id": f"{name}/series"} for name in ("anna", "bert")
        ]
    assert volume_datalist(scans / "slices") == section_datalist("luna16", scans / "slices", "training")
    assert [i["id"] for i in volume_datalist(scans / "slices" / "anna" / "series")] == ["series"]
    assert [i["id"] for i in section_datalist("gsp", scans / "slices", "training")] == ["anna/series", "bert/series"]


@pytest.mark.parametrize("name", ["anna", "bert"])
def test_slices_and_file_of_one_scan_are_one_image(scans, name):
    load = Cubes("ct", scans, 16).transform
    images = [load({"image": str(p)})["image"] for p in (scans / f"files/{name}.nii", scans / f"slices/{name}/series")]
    torch.testing.assert_close(*images, atol=2e-2, rtol=0)  # the grid's decimals in DICOM may move a few edges
    assert (images[0] - images[1]).abs().mean() < 1e-4


@pytest.mark.filterwarnings("ignore:.*for validation")
def test_preprocessed_series_train_as_the_original(scans):
    (scans / "slices" / "anna" / "series" / "notes.txt").write_text("no slice")
    prepare(scans / "slices", scans / "out")
    manifest = json.loads((scans / "out" / "preprocessed.json").read_text())
    assert {i: v["source"] for i, v in manifest["volumes"].items()} == {
        f"{name}/series": f"{name}/series" for name in ("anna", "bert")
    }
    original, copy = (section_datalist("luna16", scans / name, "training") for name in ("slices", "out"))
    assert [item["id"] for item in original] == [item["id"] for item in copy] == ["anna/series", "bert/series"]
    for first, second in zip(original, copy, strict=True):
        images = [
            Cubes("ct", scans / n, 16).transform(dict(i))["image"] for n, i in (("slices", first), ("out", second))
        ]
        assert torch.equal(*images)
    done = {path: path.stat().st_mtime_ns for path in (scans / "out").rglob("*.nii")}
    file = sorted((scans / "slices" / "bert" / "series").iterdir())[0]
    os.utime(file, (0, 0))
    prepare(scans / "slices", scans / "out")
    again = {path: path.stat().st_mtime_ns for path in done}
    assert [path.parent.parent.name for path in done if done[path] != again[path]] == ["bert"]


@pytest.mark.filterwarnings("ignore:.*for validation")
def test_bad_series_are_left_out_by_name(scans, capsys):
    """A slice is missing, there is but one, a tag is broken; the others are preprocessed and trained on."""
    for name in ("gap", "single", "broken"):
        shutil.copytree(scans / "slices" / "anna" / "series", scans / "slices" / name)
    files = {name: sorted((scans / "slices" / name).iterdir()) for name in ("gap", "single", "broken")}
    files["gap"][5].unlink()
    for file in files["single"][1:]:
        file.unlink()
    for file in files["broken"]:
        change(file, RescaleSlope=0)
    reasons = {"gap": "a slice is missing there", "single": "2 or more along every axis", "broken": "RescaleSlope is 0"}
    with pytest.warns(UserWarning, match="3 of 5 volumes are left out") as caught:
        found = section_datalist("luna16", scans / "slices", "training")
    assert [item["id"] for item in found] == ["anna/series", "bert/series"]
    prepare(scans / "slices", scans / "out")
    said = capsys.readouterr().out
    manifest = json.loads((scans / "out" / "preprocessed.json").read_text())
    assert set(manifest["bad"]) == set(reasons)
    (warning,) = (str(w.message) for w in caught if "3 of 5" in str(w.message))
    for name, reason in reasons.items():
        assert reason in manifest["bad"][name]
        assert name in warning
        assert reason in warning
        assert name in said


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bundle", GANS)
def test_every_gan_takes_series(bundle, scans, heads, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    dataset = scans / "slices"
    if "gsp" in bundle:
        dataset = tmp_path / "heads"
        for name, file in zip(("anna", "bert"), sorted(heads.rglob("*.nii.gz")), strict=False):
            voxels, header = read_volume(str(file))
            write_dicom_series(dataset / name / "series", voxels, header.affine, "MR", rescale=(1, 0))
    options = {"dataset_dir": str(dataset), "image_size": 32, "batch_size": 1, "bundle_root": str(tmp_path / "run")}
    parser = read_config(bundle, options)
    assert [item["id"] for item in parser.get_parsed_content("train_data")] == ["anna/series", "bert/series"]
    volumes = parser.get_parsed_content("train#dataset")
    image = volumes.sample(0)[0] if isinstance(volumes, LatentDataset) else volumes[0]["image"]
    assert image.shape == (1, 32, 32, 32)
    assert -1 <= image.min() < image.max() <= 1


def test_series_are_evaluated(scans):
    images = {kind: find_images(scans / kind) for kind in ("files", "slices")}
    assert [image.id for image in images["slices"]] == ["anna/series", "bert/series"]
    for file, series in zip(*images.values(), strict=True):
        (voxels, spacing), (expected, there) = read_image(series), read_image(file)
        assert np.array_equal(voxels, expected)
        assert spacing == pytest.approx(there, rel=1e-5)
