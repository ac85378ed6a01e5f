"""Chest CT of label maps: of their size, spacing and place, with the denoiser that is given."""

import json
import shutil

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run

from tests.tiny import REPOSITORY, config_file, copy_phantoms, tiny, train_config
from tools.engines.weights import model_settings, save_model

BUNDLE = "controlnet_luna16"


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """A folder in which the bundle was trained for an epoch."""
    folder = tmp_path_factory.mktemp(BUNDLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        run(
            config_file=config_file(BUNDLE, "train"),
            **tiny(BUNDLE, folder, **{"max_epochs": 1, "phantoms#count": 6, "device": "cpu"}),
        )
    return folder


def test_images_lie_on_the_voxels_of_the_given_label_maps(controlled, tmp_path, monkeypatch):
    """A map of odd size, turned axes and values of its own, whose classes are matched by name."""
    monkeypatch.chdir(REPOSITORY)
    given, out = tmp_path / "given", tmp_path / "out"
    (given / "labelsTr").mkdir(parents=True)
    values = np.zeros((13, 18, 22), np.uint8)
    values[3:10, 4:14, 5:17], values[5:8, 6:10, 8:12] = 9, 4
    affine = np.array([[0, -2.5, 0, 40], [0, 0, 3.0, -20], [6.0, 0, 0, 7], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(values, affine), given / "labelsTr" / "chest_a.nii.gz")
    said = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "Soft Tissue": 9, "lung": 4}}
    (given / "dataset.json").write_text(json.dumps(said))
    options = {"bundle_root": str(controlled), "dataset_dir": str(given), "device": "cpu", "steps": 2}
    run(config_file=config_file(BUNDLE, "inference"), output_dir=str(out), num_volumes=2, seed=7, **options)
    images = []
    for seed in (7, 8):
        case = f"{BUNDLE}_chest_a_seed{seed:05d}"
        image, label = (
            nibabel.load(out / place / name)
            for place, name in (("imagesTr", f"{case}_0000.nii.gz"), ("labelsTr", f"{case}.nii.gz"))
        )
        assert image.shape == label.shape == (18, 22, 13)
        assert np.array_equal(image.affine, label.affine)
        back = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, affine))
        assert np.allclose(label.affine, back.affine, atol=1e-4)
        expected = np.select([back.dataobj == 9, back.dataobj == 4], [1, 2], 0)  # by the bundle's own values
        assert np.array_equal(np.asarray(label.dataobj), expected)
        hu = np.asarray(image.dataobj)
        assert -1024 <= hu.min() < hu.max() <= 600
        images.append(hu)
    assert not np.array_equal(*images)

    run(
        config_file=config_file(BUNDLE, "inference"),
        **{**options, "output_dir": str(tmp_path / "fine"), "num_volumes": 1, "size": [36, 44, 26]},
    )
    fine = nibabel.load(next((tmp_path / "fine" / "labelsTr").glob("*.nii.gz")))
    assert fine.shape == (36, 44, 26)
    assert fine.header.get_zooms() == pytest.approx((1.25, 1.5, 3.0))
    differs = np.asarray(fine.dataobj)[::2, ::2, ::2] != expected
    assert differs.mean() < 0.02  # corners become round


def test_a_nodule_is_put_into_a_scan_of_which_all_else_stays(controlled, tmp_path, monkeypatch):
    """Every voxel beyond the sphere and its margin is the file's, also where it lies beyond the window."""
    monkeypatch.chdir(REPOSITORY)
    given, out = tmp_path / "given", tmp_path / "out"
    for kind in ("imagesTr", "labelsTr"):
        (given / kind).mkdir(parents=True)
    label = next((controlled / "phantoms" / "labelsTr").glob("*.nii.gz"))
    scan = nibabel.load(controlled / "phantoms" / "imagesTr" / label.name)
    hu = np.asarray(scan.dataobj).copy()
    hu[0, 0, :3] = (-3024, 3071, 1200)
    nibabel.save(nibabel.Nifti1Image(hu, scan.affine), given / "imagesTr" / label.name)
    values = np.asarray(nibabel.load(label).dataobj)
    nodule, lung = (train_config(BUNDLE)["labels"][name] for name in ("nodule", "lung"))
    values = np.where(values == nodule, lung, values)
    nibabel.save(nibabel.Nifti1Image(values, scan.affine), given / "labelsTr" / label.name)
    shutil.copy(controlled / "phantoms" / "dataset.json", given)
    middle = [int(np.median(axis)) for axis in np.nonzero(values == lung)]
    centre = (scan.affine @ [*middle, 1])[:3].round(1).tolist()
    options = {"bundle_root": str(controlled), "dataset_dir": str(given), "output_dir": str(out), "device": "cpu"}
    small = {"num_volumes": 1, "steps": 2, "repeats": 2, "context": 4, "margin": 3.0, "sphere": [*centre, 20.0]}
    run(config_file=config_file(BUNDLE, "inpaint"), **options, **small)
    (made,), (marked,) = (
        [nibabel.load(path) for path in (out / kind).glob("*.nii.gz")] for kind in ("imagesTr", "labelsTr")
    )
    before = nibabel.as_closest_canonical(nibabel.Nifti1Image(hu, scan.affine))
    assert np.allclose(made.affine, before.affine, atol=1e-4)
    was, now = np.asarray(before.dataobj), np.asarray(made.dataobj)
    assert now.dtype == was.dtype
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in was.shape), indexing="ij"), -1)
    away = np.linalg.norm(nibabel.affines.apply_affine(before.affine, grid) - centre, axis=-1)
    voxel = max(before.header.get_zooms())
    assert np.array_equal(now[away > 13.0 + voxel], was[away > 13.0 + voxel])
    assert (now[away < 10] != was[away < 10]).mean() > 0.5
    assert np.array_equal(np.asarray(marked.dataobj) == nodule, away <= 10.0)
    assert (out / "inpainted.png").is_file()


@pytest.fixture
def options(controlled, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    copy_phantoms(controlled, tmp_path)
    few = {"max_epochs": 1, "phantoms#count": 6, "device": "cpu", "val_interval": 1}
    return tiny(BUNDLE, tmp_path, **few)


@pytest.mark.parametrize("said", [{}, {"preconditioned": True, "regions": 3, "components": 16, "uniform_side": 8}])
def test_a_denoiser_that_is_given_stays_as_it_is(said, options, tmp_path):
    """Its weights are as the file has them in the model that is written; the ControlNet has learnt, at the same times.
    Weights of earlier versions do not say that they are preconditioned, are told of places, or at which times, and are
    not preconditioned, told heights alone, at uniform times.
    """
    parser = ConfigParser(train_config("rflow_luna16"))
    parser.update({"network_channels": [8, 16], "device": "cpu", "patch": 2, "preconditioned": bool(said)})
    parser["regions"] = said.get("regions", 1)
    flow = parser.get_parsed_content("network_def")
    for parameter in flow.out.parameters():  # begins at zero, where nothing before it could learn
        torch.nn.init.normal_(parameter, std=0.1)
    if said:
        flow.preconditioning.measure([torch.rand(1, 8, 8, 8)])
    save_model(tmp_path / "flow.pt", flow, {"bundle": "rflow_luna16", **said}, "model")
    run(config_file=config_file(BUNDLE, "train"), denoiser_path=str(tmp_path / "flow.pt"), **options)
    state = torch.load(tmp_path / "models" / "model_last.pt", weights_only=True)
    for name, value in flow.state_dict().items():
        assert torch.equal(state[f"denoiser.{name}"], value)
    assert state["control.controlnet_mid_block.conv.weight"].any()  # begins at zero
    settings = model_settings(tmp_path / "models" / "model_last.pt", {})
    assert (settings["regions"], settings["uniform_side"]) == (said.get("regions", 1), said.get("uniform_side"))


def test_concatenation_is_the_other_way(options, tmp_path):
    run(config_file=config_file(BUNDLE, "train"), control="concatenation", **options)
    state = torch.load(tmp_path / "models" / "model_last.pt", weights_only=True)
    assert {name.split(".")[0] for name in state} == {"denoiser"}
    assert state["denoiser.conv_in.conv.weight"].shape[1] == 8 * (1 + len(train_config(BUNDLE)["labels"]))
    out = tmp_path / "out"
    given = {"bundle_root": str(tmp_path), "output_dir": str(out), "device": "cpu"}
    run(config_file=config_file(BUNDLE, "inference"), num_volumes=1, steps=2, size=[16, 16, 16], **given)
    assert len([*out.glob("imagesTr/*.nii.gz")]) == 1


def test_where_there_are_no_label_maps(controlled, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(RuntimeError) as error:
        run(config_file=config_file(BUNDLE, "inference"), bundle_root=str(controlled), dataset_dir=str(tmp_path))
    assert "there is no label map in" in str(error.value.__cause__)
