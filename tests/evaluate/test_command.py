"""The command from folders to a report: what is measured once is kept, and what cannot be compared is refused."""

import csv
import itertools
import json
import os

import nibabel as nib
import numpy as np
import pytest
import torch

from tools.__main__ import main
from tools.evaluate import measuring
from tools.metrics.diversity import ms_ssim

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def body(seed, noise=0.0):
    """HU [x, y, z] of a body with lungs."""
    rng = np.random.default_rng(seed)
    x, y, _ = np.mgrid[:20, :20, :16] - 9.5
    hu = np.full(x.shape, -1000.0)
    hu[x**2 + y**2 < rng.uniform(70, 85)] = 40
    hu[(abs(x) - 4) ** 2 + y**2 < rng.uniform(5, 9)] = -850
    hu[(x**2 + (y + 7) ** 2) < 4] = 700
    return (hu + rng.normal(0, 10 + noise, x.shape)).clip(-1024, 2000)


def write(folder, count, first=0, noise=0.0):
    folder.mkdir()
    for seed in range(first, first + count):
        volume = nib.Nifti1Image(body(seed, noise).astype(np.int16), AFFINE)
        nib.save(volume, folder / f"case{seed - first}.nii.gz")
    return folder


@pytest.fixture
def folders(tmp_path):
    return {
        "real": write(tmp_path / "real", 6),
        "near": write(tmp_path / "near", 5, 10),
        "far": write(tmp_path / "far", 5, 10, 150),
    }


def run(folders, output_dir, *options, features="untrained,untrained-slices"):
    main(
        [
            "evaluate",
            f"--real={folders['real']}",
            f"--synthetic=near={folders['near']},far={folders['far']}",
            f"--output_dir={output_dir}",
            f"--features={features}",
            "--resamples=3",
            "--pairs=0",
            *options,
        ]
    )
    return json.loads((output_dir / "report.json").read_text())


def test_models_are_ranked_and_described(folders, tmp_path):
    report = run(folders, tmp_path / "out", "--pairs=3", features="untrained,untrained-slices,radiomics")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.csv", "report.html", "report.json"]
    assert len(report["spaces"]) == 3
    for space in report["spaces"].values():
        assert space["models"]["near"]["fid"]["value"] < space["models"]["far"]["fid"]["value"]
    assert report["layers"]["near"]["kl_256"]["average"] < report["layers"]["far"]["kl_256"]["average"]
    assert set(report["diversity"]) == {"real", "near", "far"}
    assert report["sets"]["real"] | {"value_range": 0} == {"images": 6, "shapes": [[16, 20, 20]], "value_range": 0}
    assert report["sets"]["real"]["value_range"][0] == -1024
    assert (report["settings"]["unit"], report["settings"]["window"]) == ("HU", "-1024 to 600")
    assert report["versions"]["torch"]
    with (tmp_path / "out" / "report.csv").open() as file:
        assert {row["images"] for row in csv.DictReader(file)} == {"real", "near", "far"}


def test_diversity_is_the_bundles_own_measure(folders, tmp_path):
    """MS-SSIM of successive images in the order that the seed draws: what a bundle's evaluation reports."""
    report = run(folders, tmp_path / "out", "--pairs=4", "--window=-1024,600")
    for name, folder in folders.items():
        paths = sorted(folder.glob("*.nii.gz"))
        order = np.random.default_rng(0).permutation(len(paths))[:5]
        hu = [np.asarray(nib.load(paths[i]).dataobj, np.float32).transpose(2, 1, 0)[:, ::-1, ::-1] for i in order]
        scaled = [torch.from_numpy(np.clip((v + 1024) / 1624, 0, 1).copy()) for v in hu]
        expected = [ms_ssim(a, b, 1) for a, b in itertools.pairwise(scaled)]
        found = report["diversity"][name]
        assert (found["pairs"], found["scales"]) == (4, 1)
        assert found["ms_ssim"] == pytest.approx(np.mean(expected), rel=1e-5)


def same_numbers(report):
    return {key: report[key] for key in ("sets", "spaces", "layers", "warnings", "truth")}


def test_images_are_measured_once(folders, tmp_path, monkeypatch):
    first = run(folders, tmp_path / "first")
    read = []
    original = measuring.read_image
    monkeypatch.setattr(measuring, "read_image", lambda image: read.append(image.id) or original(image))
    assert same_numbers(run(folders, tmp_path / "second")) == same_numbers(first)
    assert not read
    os.utime(folders["far"] / "case0.nii.gz", ns=(1, 1))
    (damaged,) = list((folders["near"] / measuring.CACHE).iterdir())[:1]
    damaged.write_bytes(b"damaged")
    assert same_numbers(run(folders, tmp_path / "third")) == same_numbers(first)
    assert len(read) == 2
    run(folders, tmp_path / "fourth", features="untrained,radiomics")
    assert len(read) == 2 + 16  # a new space is measured, the old one is known
    run(folders, tmp_path / "fifth", "--layers=5")
    assert len(read) == 2 + 16 + 16


def test_two_processes_and_another_cache_give_the_same(folders, tmp_path):
    alone = run(folders, tmp_path / "one", f"--cache_dir={tmp_path / 'cache_a'}")
    both = run(folders, tmp_path / "two", "--processes=2", f"--cache_dir={tmp_path / 'cache_b'}")
    assert not (folders["real"] / measuring.CACHE).exists()
    for space, content in alone["spaces"].items():
        ours, theirs = (
            {name: number["value"] for name, number in report["spaces"][space]["models"]["far"].items()}
            for report in (alone, both)
        )
        assert ours == pytest.approx(theirs, rel=1e-3), content["note"]
    assert alone["layers"]["near"]["kl_3"] == both["layers"]["near"]["kl_3"]


def test_errors_against_the_truth(folders, tmp_path):
    truth = write(tmp_path / "truth", 5, 10)
    report = run(folders, tmp_path / "out", f"--truth={truth}")
    assert report["truth"]["near"]["mae_everywhere"] == 0
    noise = np.mean(
        [np.abs(body(s, 150).astype(np.int16).astype(float) - body(s).astype(np.int16)).mean() for s in range(10, 15)]
    )
    assert report["truth"]["far"]["mae_everywhere"] == pytest.approx(noise)
    assert report["truth"]["far"]["path_length_mm"] > 0
    (truth / "case3.nii.gz").unlink()
    with pytest.raises(SystemExit, match=r"no true image for 1 of 5 images of near, such as case3"):
        run(folders, tmp_path / "out", f"--truth={truth}")


def test_sizes_are_brought_together_on_request(folders, tmp_path):
    for path in folders["far"].iterdir():
        nib.save(nib.Nifti1Image(nib.load(path).get_fdata()[:16].astype(np.int16), AFFINE), path)
    with pytest.raises(SystemExit, match=r"slices of different size \(real 20 x 20, near 20 x 20, far 20 x 16\)"):
        run(folders, tmp_path / "out")
    report = run(folders, tmp_path / "out", "--image_size=16")
    assert report["sets"]["far"]["shapes"] == [[16, 16, 16]]


def test_bad_input_is_refused(folders, tmp_path):
    for path in folders["far"].iterdir():
        scaled = nib.load(path).get_fdata() / 2000
        nib.save(nib.Nifti1Image(scaled.clip(-1, 1).astype(np.float32), AFFINE), path)
    with pytest.raises(SystemExit, match=r"values differ in kind .*far \[-1, 1\]"):
        run(folders, tmp_path / "out")
    with pytest.raises(SystemExit, match=r"the values of far cover 0.1% of the window"):
        run(folders, tmp_path / "out", "--window=-1024,600")
    broken = body(0)
    broken[3, 3, 3:5] = np.nan
    nib.save(nib.Nifti1Image(broken.astype(np.float32), AFFINE), folders["near"] / "case0.nii.gz")
    with pytest.raises(SystemExit, match=r"case0.nii.gz: 2 of 6400 voxels are NaN"):
        run({**folders, "far": folders["real"]}, tmp_path / "out")
    for path in sorted(folders["near"].glob("case*"))[1:]:
        path.unlink()
    with pytest.raises(SystemExit, match=r"near \(near\) holds 1 image\(s\)"):
        run(folders, tmp_path / "out")
    with pytest.raises(SystemExit, match="unknown feature space 'resnet'"):
        run({**folders, "near": folders["real"], "far": folders["real"]}, tmp_path / "out", features="resnet")
    assert not (tmp_path / "out").exists()
