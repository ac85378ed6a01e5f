"""CycleGANs on MR and CT from two plain folders of NIfTI, MetaImage and DICOM, without CHAOS's layout."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import run

from tests.tiny import BUNDLES, REPOSITORY, TINY_TRANSLATION, config_file, family
from tools.benchmark.configs import read_config
from tools.io import left_out
from tools.io.dicom_writer import write_dicom_series

CYCLEGANS = [name for name in BUNDLES if family(name) == "cyclegan"]
AFFINE = np.diag([-10.0, -10.0, 8.0, 1.0])
SMALL = {
    name: TINY_TRANSLATION[name] for name in ("image_size", "channels", "batch_size", "max_epochs", "val_interval")
}
SMALL |= {"discriminator_channels": 8, "batch_size": 20, "val_interval": 2, "constant_epochs": 1, "num_workers": 0}


def body(seed, water, fat, air, noise):
    """[32, 32, 20]: an ellipse of water in a ring of fat in air."""
    x, y, _ = np.meshgrid(np.linspace(-1, 1, 32), np.linspace(-1, 1, 32), np.arange(20), indexing="ij")
    r = np.hypot(x / (0.75 + 0.02 * seed), y / 0.6)
    values = np.select([r < 0.8, r < 1], [water, fat], air)
    return (values + noise * np.random.default_rng(seed).standard_normal(values.shape)).round().astype(np.int16)


def mr(seed, fat):
    return np.abs(body(seed, 300, fat, 0, 12))


def ct(seed):
    return body(seed, 40, -100, -1000, 12).clip(-1024)


def write_nifti(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, AFFINE), path)


def write_metaimage(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(voxels.T)
    image.SetSpacing((10, 10, 8))
    sitk.WriteImage(image, str(path))


def write_series(folder, voxels, **options):
    write_dicom_series(folder, voxels, AFFINE, **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three patients with every contrast of MR, and three others with CT, one of whose files is damaged."""
    root = tmp_path_factory.mktemp("own")
    echoes = {"in_phase": 4.6, "out_phase": 2.3, "t2": 90}
    for contrast, fat in (("in_phase", 500), ("out_phase", 400), ("t2", 450)):
        options = {"modality": "MR", "rescale": (1, 0), "echo_time": echoes[contrast]}
        write_series(root / "mr" / "anna" / contrast, mr(0, fat), **options)
        write_nifti(root / "mr" / f"bert_{contrast}.nii.gz", mr(1, fat))
        write_metaimage(root / "mr" / "cora" / f"{contrast}.mha", mr(2, fat))
    write_series(root / "ct" / "dora" / "1.2.3", ct(3))
    write_nifti(root / "ct" / "emil.nii.gz", ct(4))
    write_metaimage(root / "ct" / "fritz.mhd", ct(5))
    (root / "ct" / "broken.nii.gz").write_bytes(b"no image")
    return {"mr_dir": str(root / "mr"), "ct_dir": str(root / "ct")}


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize("bundle", CYCLEGANS)
def test_every_cyclegan_finds_what_it_needs(bundle, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    parser = read_config(bundle, {**folders, "bundle_root": str(tmp_path)})
    modalities = parser.get_parsed_content("modalities")
    assert parser.get_parsed_content("scale") == "paper"
    found = parser.get_parsed_content("train_mr")
    if "all_in" in bundle:
        expected = {f"MR/{name}/{m}": [m] for name in ("anna", "bert", "cora") for m in modalities}
    else:
        expected = {f"MR/{name}": modalities for name in ("anna", "bert", "cora")}
    assert {study["id"] for study in found} == set(expected)
    for study in found:
        assert len(study["image"]) == len(expected[study["id"]])
        assert all(m in path for m, path in zip(expected[study["id"]], study["image"], strict=True))
    assert {s["id"] for s in parser.get_parsed_content("train_ct")} == {"CT/dora/1.2.3", "CT/emil", "CT/fritz"}
    assert not (tmp_path / "phantoms").exists()


@pytest.mark.filterwarnings("ignore:.*")
def test_a_training_and_its_evaluation_on_two_folders(folders, tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.chdir(REPOSITORY)
    bundle = "cyclegan_mri2ct_inout"
    options = {**SMALL, **folders, "bundle_root": str(tmp_path)}
    run(config_file=config_file(bundle, "train"), **options)
    assert not list(tmp_path.glob("phantoms*"))
    assert "phantoms" not in caplog.text
    settings = json.loads((tmp_path / "models" / "model.json").read_text())
    assert (settings["data"]["kind"], settings["data"]["volumes"]) == ("volumes", 6)
    before, after = (torch.load(tmp_path / "models" / f"checkpoint_epoch={n}.pt", weights_only=True) for n in (1, 2))
    assert any(
        not torch.equal(value, after["networks"][name][key])
        for name, network in before["networks"].items()
        for key, value in network.items()
    )
    run(
        config_file=config_file(bundle, "train", "evaluate"),
        **options,
        output_dir=str(tmp_path / "report"),
        resamples=2,
    )
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    (space,) = report["spaces"].values()
    assert np.isfinite(space["models"][bundle]["fid"]["value"])
    assert report["settings"]["data"] == [folders["mr_dir"], folders["ct_dir"]]
    # odd files beside the others: label maps, a CT, and one whose voxels fail when they are decoded
    source = shutil.copytree(folders["mr_dir"], tmp_path / "source")
    for contrast in ("in_phase", "out_phase"):
        write_nifti(source / f"labels_{contrast}.nii.gz", (mr(1, 400) > 100).astype(np.int16))
        write_nifti(source / f"scan_{contrast}.nii.gz", ct(4))
        write_nifti(source / f"spoilt_{contrast}.nii.gz", mr(1, 400))
        content = bytearray((source / f"spoilt_{contrast}.nii.gz").read_bytes())
        content[len(content) // 2] ^= 0xFF
        (source / f"spoilt_{contrast}.nii.gz").write_bytes(content)
    places = {"bundle_root": str(tmp_path), "dataset_dir": str(source), "output_dir": str(tmp_path / "out")}
    capsys.readouterr()
    run(config_file=config_file(bundle, "inference"), **places)
    translated = capsys.readouterr().out.partition("Translated")[2]
    assert all(f"  {name}\n" in translated for name in ("anna", "bert", "cora"))
    assert not any(f"  {name}\n" in translated for name in ("labels", "scan", "spoilt"))
    said = left_out.summary()
    reasons = {"labels": "it is a label map", "scan": "is it CT", "spoilt": "data are truncated or damaged"}
    for name, reason in reasons.items():
        assert any(line.startswith(f"  {name}: ") and reason in line for line in said.splitlines()), said
    made = sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz"))
    assert len(made) == 3
    for name in made:
        assert nib.load(tmp_path / "out" / name).shape == (32, 32, 20)


@pytest.mark.parametrize(("given", "missing"), [("mr_dir", "ct_dir"), ("ct_dir", "mr_dir")])
def test_one_folder_alone_is_refused(folders, tmp_path, monkeypatch, given, missing):
    monkeypatch.chdir(REPOSITORY)
    parser = read_config("cyclegan_mri2ct_t2", {given: folders[given], "bundle_root": str(tmp_path)})
    with pytest.raises(RuntimeError) as caught:
        parser.get_parsed_content("train_mr")
    assert f"--{given} alone would be trained with phantoms; give --{missing} too" in str(caught.value.__cause__)
    assert not (tmp_path / "phantoms").exists()
