"""Chest CT of the size and spacing that are asked for, from a network that is told both."""

import csv
import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser, run

from tests.tiny import REPOSITORY, config_file, tiny
from tools.benchmark.sampling import benchmark_sampling
from tools.engines.weights import ModelCheckpointLoader

BUNDLE = "rflow_luna16"


@pytest.fixture(scope="module")
def asked_for(tmp_path_factory):
    """A folder in which the bundle was trained for two iterations."""
    folder = tmp_path_factory.mktemp(BUNDLE)
    few = {"max_epochs": 1, "phantoms#count": 6, "learning_rates#denoiser": 0.01, "device": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        run(config_file=config_file(BUNDLE, "train"), **tiny(BUNDLE, folder, **few))
    return folder


def test_size_spacing_and_place_are_those_that_were_asked_for(asked_for, tmp_path, monkeypatch):
    """Odd numbers too, which the network cannot halve; in NIfTI and in DICOM."""
    monkeypatch.chdir(REPOSITORY)
    size, spacing = [22, 18, 13], [3.0, 2.5, 6.0]
    options = {"bundle_root": str(asked_for), "output_dir": str(tmp_path), "device": "cpu", "steps": 2, "seed": 3}
    run(config_file=config_file(BUNDLE, "inference"), size=size, spacing=spacing, num_volumes=1, dicom=True, **options)
    image = nibabel.load(tmp_path / f"{BUNDLE}_seed00003.nii.gz")
    assert image.shape == tuple(size)
    assert image.header.get_zooms() == pytest.approx(spacing)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    middle = image.affine @ [*((np.array(size) - 1) / 2), 1]
    assert middle[:3] == pytest.approx([0, 0, 0], abs=1e-4)

    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / f"{BUNDLE}_seed00003"))
    series = sitk.ReadImage(names)
    assert list(series.GetSize()) == size
    assert series.GetSpacing() == pytest.approx(spacing)
    for index in ((0, 0, 0), (21, 3, 5), (4, 17, 12), (11, 9, 6)):  # the same HU at the same place of the patient
        x, y, z, _ = (image.affine @ [*index, 1]).tolist()
        there = series.TransformPhysicalPointToIndex((-x, -y, z))
        assert series[there] == image.dataobj[index]


def test_without_a_spacing_a_volume_has_the_extent_of_the_training_volumes(asked_for, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    options = {"bundle_root": str(asked_for), "output_dir": str(tmp_path), "device": "cpu", "steps": 1}
    run(config_file=config_file(BUNDLE, "inference"), size=[16, 16, 8], num_volumes=1, **options)
    image = nibabel.load(tmp_path / f"{BUNDLE}_seed00000.nii.gz")
    settings = torch.load(asked_for / "models" / "model.pt", weights_only=True)._metadata[""]["settings"]
    extent = np.array(image.header.get_zooms()) * image.shape
    assert extent[::-1] == pytest.approx(settings["data"]["field_of_view_mm"], rel=1e-4)


def test_in_half_precision_a_volume_is_nearly_the_same(asked_for, tmp_path, monkeypatch):
    """Within 3% of the volume's deviation, by the weights of the last iteration; another format is refused by name."""
    monkeypatch.chdir(REPOSITORY)
    options = {"bundle_root": str(asked_for), "device": "cpu", "steps": 2, "size": [16, 16, 16], "num_volumes": 1}
    options["ckpt_path"] = str(asked_for / "models" / "model_last.pt")
    made = {}
    for precision in ("fp32", "bf16"):
        folder = tmp_path / precision
        run(config_file=config_file(BUNDLE, "inference"), output_dir=str(folder), precision=precision, **options)
        made[precision] = nibabel.load(folder / f"{BUNDLE}_seed00000.nii.gz").get_fdata()
    assert 0 < (made["bf16"] - made["fp32"]).std() < 0.03 * made["fp32"].std()
    with pytest.raises(RuntimeError) as error:
        run(config_file=config_file(BUNDLE, "inference"), output_dir=str(tmp_path), precision="fp8", **options)
    assert "--precision 'fp8': expected one of fp32, bf16, fp16" in str(error.value.__cause__)


def test_a_sphere_of_a_scan_is_made_anew_and_all_else_stays(asked_for, tmp_path, monkeypatch):
    """In the lungs, at a place that follows from the seed; the voxels are those of the scan."""
    monkeypatch.chdir(REPOSITORY)
    small = {"steps": 2, "repeats": 2, "context": 4, "diameters": [16.0, 20.0], "num_volumes": 1, "seed": 5}
    given = asked_for / "phantoms" / "subset9"
    options = {"bundle_root": str(asked_for), "dataset_dir": str(given), "output_dir": str(tmp_path), "device": "cpu"}
    run(config_file=config_file(BUNDLE, "inpaint"), **options, **small)
    (made,), (region,) = (
        [nibabel.load(path) for path in (tmp_path / kind).glob("*.nii.gz")] for kind in ("imagesTr", "labelsTr")
    )
    inside = np.asarray(region.dataobj) == 1
    scan = sitk.ReadImage(str(sorted(given.glob("*.mhd"))[0]))
    was = sitk.GetArrayFromImage(scan).transpose(2, 1, 0)[::-1, ::-1]  # from LPS to RAS
    now = np.asarray(made.dataobj)
    assert np.array_equal(now[~inside], was[~inside])
    assert (now[inside] != was[inside]).mean() > 0.5
    volume = inside.sum() * np.prod(made.header.get_zooms())
    assert np.pi / 6 * 14**3 < volume < np.pi / 6 * 30**3
    assert (was[inside] < -500).mean() > 0.8  # lung
    assert (tmp_path / "inpainted.png").is_file()


def test_the_network_reads_spacing_and_place(asked_for, monkeypatch):
    """After two iterations, with the weights of the last: the same noise gives another answer."""
    monkeypatch.chdir(REPOSITORY)
    parser = ConfigParser(ConfigParser.load_config_file(config_file(BUNDLE, "inference")))
    parser["bundle_root"], parser["device"] = str(asked_for), "cpu"
    network = parser.get_parsed_content("network_def").eval()
    ModelCheckpointLoader(str(asked_for / "models" / "model_last.pt"), network).load()
    noise = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    told = {
        "spacing_tensor": torch.tensor([[5.0, 4.0, 4.0]], requires_grad=True),
        "top_region_index_tensor": torch.tensor([[0.0, 0, 0, 1] * 3], requires_grad=True),
        "bottom_region_index_tensor": torch.tensor([[1.0, 0, 0, 0] * 3], requires_grad=True),
    }
    answer = network(noise, torch.tensor([500.0]), **told)
    answer.square().sum().backward()
    assert all(float(one.grad.abs().sum()) > 0 for one in told.values())
    finer = network(noise, torch.tensor([500.0]), **{**told, "spacing_tensor": torch.tensor([[1.0, 1.0, 1.0]])})
    assert not torch.allclose(finer, answer, atol=1e-4)


def test_steps_of_the_sampler_beside_what_they_make(asked_for, tmp_path, monkeypatch, capsys):
    """Each way has its seconds and its FID, which is that of its own report, beside real against real."""
    monkeypatch.chdir(REPOSITORY)
    few = {"bundle_root": str(asked_for), "phantoms#count": 6, "phantoms#shape": [48, 48, 48], "reference": "training"}
    few["image_size"] = 32
    how = {"num_synthetic": 2, "resamples": 0, "precision": "bf16", "device": "cpu", "output_dir": tmp_path}
    benchmark_sampling(BUNDLE, "4,1", overrides=few, **how)
    with (tmp_path / "sampling.csv").open() as file:
        one, four, floor = csv.DictReader(file)
    assert [row["steps"] for row in (one, four, floor)] == ["1", "4", ""]
    assert (one["sampler"], floor["sampler"]) == ("euler", "real against real")
    assert float(four["processor_seconds"]) > 1.5 * float(one["processor_seconds"]) > 0
    report = json.loads((tmp_path / "euler_4" / "report.json").read_text())
    assert (report["settings"]["steps"], report["settings"]["precision"]) == (4, "bf16")
    assert json.loads((tmp_path / "sampling.json").read_text())["precision"] == "bf16"
    (space,) = report["spaces"].values()
    assert float(four["fid"]) == pytest.approx(space["models"][BUNDLE]["fid"]["value"])
    assert float(floor["fid"]) == pytest.approx(space["baseline"]["fid"])
    assert four["fid"] != one["fid"]
    assert four["samples"] == "2"
    assert "<svg" in (tmp_path / "sampling.svg").read_text()
    assert "| euler | 4 |" in capsys.readouterr().out
    with pytest.raises(ValueError, match="overrides: bundle rflow_luna16 has no 'sizs'"):
        benchmark_sampling(BUNDLE, 4, overrides={"sizs": [16]}, output_dir=tmp_path)
    with pytest.raises(ValueError, match="overrides has 'steps'; give it by --steps"):
        benchmark_sampling(BUNDLE, 4, overrides={"steps": 3}, output_dir=tmp_path)
    with pytest.raises(ValueError, match=r"precision is .*fp8"):
        benchmark_sampling(BUNDLE, 4, precision="fp8", output_dir=tmp_path)
    with pytest.raises(ValueError, match="'crf_gan_luna16', which does not make samples of noise in steps"):
        benchmark_sampling("crf_gan_luna16", output_dir=tmp_path)


def test_a_size_that_is_none(asked_for, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(RuntimeError) as error:
        run(config_file=config_file(BUNDLE, "inference"), bundle_root=str(asked_for), size=[16, 16])
    assert "--size [16, 16]: expected 3 numbers" in str(error.value.__cause__)
