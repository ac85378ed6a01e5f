"""The command from folders to a report: what is measured once is kept, and what cannot be compared is refused."""

import csv
import itertools
import json
import os

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from tests.processes import forkserver
from tools.__main__ import main
from tools.data.image_sets import ImageFile, image_shape, read_image
from tools.evaluation import command, measuring, sets
from tools.evaluation.command import models_of
from tools.features.untrained import UntrainedSliceFeatures
from tools.metrics.distances import frechet_distance, kernel_distance
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


def test_two_processes_and_another_cache_give_the_same(folders, tmp_path, monkeypatch):
    context = forkserver()
    monkeypatch.setattr(measuring, "get_context", lambda method: context)
    space = "--features=untrained"  # one is enough to see it, and each process computes its own networks
    alone = run(folders, tmp_path / "one", space, f"--cache_dir={tmp_path / 'cache_a'}")
    both = run(folders, tmp_path / "two", space, "--processes=2", f"--cache_dir={tmp_path / 'cache_b'}")
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
    report = run({**folders, "far": folders["real"]}, tmp_path / "nan")
    assert report["sets"]["near"]["images"] == 4
    (sentence,) = (warning for warning in report["warnings"] if "left out" in warning)
    assert sentence == "1 of 5 images of near are left out (case0: 2 of 6400 voxels are NaN or infinite)"
    for path in sorted(folders["near"].glob("case*"))[1:]:
        path.unlink()
    with pytest.raises(SystemExit, match=r"near \(near\) holds 1 image\(s\)"):
        run(folders, tmp_path / "out")
    with pytest.raises(SystemExit, match="unknown feature space 'resnet'"):
        run({**folders, "near": folders["real"], "far": folders["real"]}, tmp_path / "out", features="resnet")
    assert not (tmp_path / "out").exists()


def save(path, voxels):
    nib.save(nib.Nifti1Image(voxels, AFFINE), path)


def test_odd_files_are_named_and_the_rest_is_measured(folders, tmp_path):
    """One that is no image, one that is cut off, one of one value, in each set; the numbers are those of the others."""
    few = {name: write(tmp_path / f"few_{name}", 3, first) for name, first in (("real", 1), ("near", 11), ("far", 11))}
    expected = run(few, tmp_path / "expected")
    for name in few:
        (few[name] / "a_text.nii.gz").write_text("no image")
        whole = (few[name] / "case0.nii.gz").read_bytes()
        (few[name] / "b_cut.nii.gz").write_bytes(whole[: len(whole) // 2])
        save(few[name] / "c_blank.nii.gz", np.full((20, 20, 16), -1000, np.int16))
        (few[name] / "link").symlink_to(few[name])
    report = run(few, tmp_path / "out", "--pairs=2")
    assert {name: described["images"] for name, described in report["sets"].items()} == dict.fromkeys(few, 3)
    for name in few:
        (sentence,) = (w for w in report["warnings"] if w.startswith(f"3 of 6 images of {name} are left out ("))
        for part in ("a_text: its header cannot be read", "b_cut: ", "c_blank: it shows nothing: one value everywhere"):
            assert part in sentence
    for space, described in report["spaces"].items():
        before = expected["spaces"][space]["models"]["far"]
        assert described["models"]["far"]["fid"]["value"] == pytest.approx(before["fid"]["value"], rel=1e-6)


def test_a_model_that_makes_one_value_stops_no_report(folders, tmp_path):
    for path in folders["near"].iterdir():
        save(path, np.zeros((20, 20, 16), np.float32))
    report = run(folders, tmp_path / "out", "--pairs=2")
    assert set(report["sets"]) == {"real", "far"}
    assert all(set(space["models"]) == {"far"} for space in report["spaces"].values())
    assert "near has fewer than 2 images that can be used" in report["warnings"]
    alone = [f"--real={folders['real']}", f"--synthetic={folders['near']}", f"--output_dir={tmp_path / 'alone'}"]
    with pytest.raises(SystemExit, match=r"0 image\(s\) of near can be used, .*5: it shows nothing.* .case0, "):
        main(["evaluate", *alone])
    with pytest.raises(SystemExit, match=r"0 image\(s\) of real can be used"):
        run({**folders, "real": folders["near"]}, tmp_path / "out")


def test_a_folder_is_one_whatever_its_name(folders, tmp_path):
    folder = folders["near"].rename(tmp_path / "epoch=10, lr=0.1")
    options = ["--features=untrained", "--resamples=0", "--pairs=0", f"--output_dir={tmp_path / 'out'}"]
    main(["evaluate", f"--real={folders['real']}", f"--synthetic={folder}", *options])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["sets"]) == {"real", "epoch=10, lr=0.1"}
    folder = folder.rename(tmp_path / "epoch=10")
    assert models_of(f"a={folder},b={folders['far']}") == {"a": str(folder), "b": str(folders["far"])}
    assert models_of(str(folders["real"])) == {"synthetic": str(folders["real"])}


def test_sizes_of_all_sets_are_compared_before_anything_is_read(folders, tmp_path, monkeypatch):
    def never(image):
        raise AssertionError(f"{image.path} was read")

    for module in (command, measuring, sets):
        monkeypatch.setattr(module, "read_image", never)
    save(folders["far"] / "case4.nii.gz", body(0)[:, :18].astype(np.int16))
    with pytest.raises(SystemExit, match=r"far: case4 has slices of 18 x 20 and case0 of 20 x 20; .*--image_size"):
        run(folders, tmp_path / "out")
    for path in folders["far"].iterdir():
        save(path, body(0)[:16].astype(np.int16))
    with pytest.raises(SystemExit, match=r"slices of different size \(real 20 x 20, near 20 x 20, far 20 x 16\)"):
        run(folders, tmp_path / "out")
    truth = write(tmp_path / "truth", 6)
    save(truth / "case3.nii.gz", body(0)[:, :, :15].astype(np.int16))
    with pytest.raises(SystemExit, match=r"case3.nii.gz has shape \(16, 20, 20\) and its truth \(15, 20, 20\)"):
        run({**folders, "far": folders["real"]}, tmp_path / "out", f"--truth={truth}")


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR", "SAL"])
def test_the_size_of_a_header_is_that_of_the_image(tmp_path, axes):
    start = nib.orientations.io_orientation(np.eye(4))
    turn = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(axes))
    nib.save(nib.Nifti1Image(body(0).astype(np.int16)[:, :18], np.eye(4)).as_reoriented(turn), tmp_path / "a.nii")
    np.save(tmp_path / "b.npy", body(0))
    for image in (ImageFile("a", str(tmp_path / "a.nii"), "volume"), ImageFile("b", str(tmp_path / "b.npy"), "array")):
        assert image_shape(image) == read_image(image)[0].shape


def pictures(folder, count, seed, noise):
    """PNGs of a disc of 60 x 48 pixels, noisier or not."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:60, :48]
    for number in range(count):
        disc = 180.0 * ((y - 30) ** 2 + (x - 24) ** 2 < rng.uniform(300, 400)) + rng.normal(20, noise, y.shape)
        Image.fromarray(disc.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def test_2d_images_are_measured_as_such(tmp_path):
    """PNGs right in the folder of a set, and the same as arrays of one slice: numbers are those of the functions."""
    folders = {"real": (6, 0, 3), "near": (5, 1, 3), "far": (5, 2, 40)}
    given = {name: pictures(tmp_path / name, *how) for name, how in folders.items()}
    arrays = {
        name: np.stack([np.asarray(Image.open(path)) for path in sorted(f.iterdir())]) for name, f in given.items()
    }
    options = [f"--output_dir={tmp_path / 'out'}", "--resamples=0", f"--truth={given['near']}"]
    main(["evaluate", f"--real={given['real']}", f"--synthetic=near={given['near']},far={given['far']}", *options])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["sets"]["real"]["shapes"] == [[1, 60, 48]]
    assert report["settings"]["layers"] == 1
    (name,) = report["spaces"]
    space = UntrainedSliceFeatures()
    assert name == space.name
    scaled = {k: torch.from_numpy(v.astype(np.float32) / 255 * 2 - 1)[:, None] for k, v in arrays.items()}
    real, far = space(scaled["real"]), space(scaled["far"])
    found = report["spaces"][name]["models"]
    assert found["far"]["fid"]["value"] == pytest.approx(frechet_distance(real, far), rel=1e-5)
    assert found["far"]["kid"]["value"] == pytest.approx(kernel_distance(real, far), rel=1e-5)
    assert found["near"]["fid"]["value"] < found["far"]["fid"]["value"]
    order = np.random.default_rng(0).permutation(5)
    pairs = [ms_ssim(*((scaled["far"][i, 0] + 1) / 2 for i in two), 3) for two in itertools.pairwise(order)]
    assert report["diversity"]["far"] == {
        "ms_ssim": pytest.approx(np.mean(pairs), rel=1e-5),
        "std": pytest.approx(np.std(pairs), rel=1e-4),
        "pairs": 4,
        "scales": 3,  # of 48 pixels: 48, 24 and 12, in which a window of 11 lies
    }
    assert report["truth"]["near"]["mae_everywhere"] == 0
    assert report["truth"]["near"]["ssim"] == pytest.approx(1)
    for kind, volumes in arrays.items():
        (tmp_path / "arrays" / kind).mkdir(parents=True)
        for number, volume in enumerate(volumes):
            np.save(tmp_path / "arrays" / kind / f"{number}.npy", volume[None].astype(np.float32))
    command_line = [f"--real={tmp_path / 'arrays' / 'real'}", f"--synthetic={tmp_path / 'arrays' / 'far'}"]
    main(["evaluate", *command_line, f"--output_dir={tmp_path / 'again'}", "--resamples=0"])
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    assert again["spaces"][name]["models"]["far"] == found["far"]
    with pytest.raises(SystemExit, match="'radiomics' is one of volumes; for 2D images choose from untrained-slices"):
        main(["evaluate", *command_line, f"--output_dir={tmp_path / 'not'}", "--features=radiomics"])
