"""From published files to images, evaluation and a reader study, by networks with the published structure."""

import json

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monai.apps.generation.maisi.networks.autoencoderkl_maisi import MaisiConvolution
from monai.bundle import ConfigWorkflow, run
from monai.inferers import sliding_window_inference

from tests.published.files import NARROW, networks, write_files
from tests.tiny import REPOSITORY, config_file
from tools import collection
from tools.catalogue.new import new
from tools.errors import causes
from tools.published import command
from tools.share.pack import pack_bundle
from tools.transforms.maisi import CLASSES, MADE

SMALL = {
    "maisi_ct": {"size": [32, 32, 32], "spacing": [2.0, 3.0, 4.0], "mask_size": [32, 32, 32], "mask_spacing": 4.0,
                 "steps": 2, "mask_scheduler#num_train_timesteps": 2, "mask_steps": 2, "mask_num_splits": 2},
    "monai_brats_ldm": {"size": [16, 32, 16], "steps": 12},
    "monai_brain_ldm": {"size": [32, 64, 32], "steps": 12},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """(bundle, form) -> a folder with `models/model.pt` of random weights; tests must leave it as it is."""
    made = {}

    def fetch(bundle, form="ddpm", every=True):
        if (bundle, form) not in made:
            folder = tmp_path_factory.mktemp(f"{bundle}_{form}")
            write_files(folder / "files", bundle, form, every=every)
            options = {"weights": str(folder / "files"), "form": form, "accept_license": True, **NARROW[bundle]}
            command.fetch_weights(bundle, output_dir=str(folder / "models"), **options)
            made[bundle, form] = folder
        return made[bundle, form]

    return fetch


def infer(bundle, root, out, *overlays, **options):
    files = config_file(bundle, "inference", *overlays)
    small = {**SMALL[bundle], "device": "cpu", "bundle_root": str(root), "output_dir": str(out)}
    run(config_file=files, **{**small, **options})
    return sorted(out.glob("*.nii.gz"))


@pytest.mark.parametrize("bundle", ["monai_brats_ldm", "monai_brain_ldm"])
def test_volumes_follow_from_their_seeds(bundle, fetched, tmp_path):
    root = fetched(bundle)
    first, second = infer(bundle, root, tmp_path / "two", num_volumes=2, seed=4)
    assert [first.name, second.name] == [f"{bundle}_seed00004.nii.gz", f"{bundle}_seed00005.nii.gz"]
    image = nibabel.load(first)
    config = json.loads((REPOSITORY / config_file(bundle, "inference")).read_text())
    assert image.shape == tuple(SMALL[bundle]["size"])
    assert image.header.get_zooms() == pytest.approx(config["spacing"])
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    assert np.allclose(nibabel.affines.apply_affine(image.affine, (np.array(image.shape) - 1) / 2), 0, atol=1e-4)
    values = np.asarray(image.dataobj)
    assert 0 <= values.min() < values.max() <= 1000
    assert "seed 4" in str(image.header["descrip"])
    (again,) = infer(bundle, root, tmp_path / "one", seed=5)
    assert np.array_equal(np.asarray(nibabel.load(again).dataobj), np.asarray(nibabel.load(second).dataobj))
    assert (tmp_path / "one" / "montage.png").is_file()
    (item,) = collection.generate(bundle, seed=5, trained=root, device="cpu", **SMALL[bundle])
    assert np.array_equal(item["image"][0].numpy().round(), np.asarray(nibabel.load(again).dataobj))


def test_the_brain_is_told_its_conditions(fetched, tmp_path):
    root = fetched("monai_brain_ldm")
    young, old = (
        nibabel.load(infer("monai_brain_ldm", root, tmp_path / age, **{"conditions#age": float(age)})[0]).get_fdata()
        for age in ("0.1", "0.9")
    )
    assert not np.array_equal(young, old)
    with pytest.raises(RuntimeError) as error:
        infer("monai_brain_ldm", root, tmp_path, **{"conditions#age": 70})
    assert "expected numbers from 0 to 1" in str(error.value.__cause__)


def test_ct_with_label_maps_is_a_folder_to_train_on(fetched, tmp_path):
    root = fetched("maisi_ct", "rflow")
    infer("maisi_ct", root, tmp_path)
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["labels"] == CLASSES
    assert content["channel_names"] == {"0": "CT"}
    assert len(content["training"]) == 1
    image, label = (nibabel.load(tmp_path / content["training"][0][kind]) for kind in ("image", "label"))
    assert image.shape == label.shape == (32, 32, 32)
    assert image.header.get_zooms() == label.header.get_zooms() == (2, 3, 4)
    values, classes = np.asarray(image.dataobj), np.asarray(label.dataobj)
    assert -1000 <= values.min() < values.max() <= 1000
    assert len(np.unique(classes)) > 3
    known = {CLASSES["body"] if value == 200 else value for value in MADE}
    assert set(np.unique(classes)) <= known
    assert (values[classes == 0] == -1000).all()
    content = json.loads((REPOSITORY / config_file("maisi_ct", "inference")).read_text())
    small = {key: value for key, value in SMALL["maisi_ct"].items() if "#" not in key}
    small["mask_scheduler"] = content["mask_scheduler"] | {"num_train_timesteps": 2}
    (item,) = collection.generate("maisi_ct", trained=root, device="cpu", **small)
    assert np.array_equal(item["image"][0].numpy().round(), values)


def test_ct_of_label_maps_in_files(fetched, tmp_path):
    """On the grid that is asked for; other noise is another image of the same labels."""
    root = fetched("maisi_ct", "rflow")
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:16, 4:16, 4:16] = 200
    labels[8:12, 8:12, 8:12] = CLASSES["liver"]
    (tmp_path / "maps").mkdir()
    path = tmp_path / "maps" / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([-4.0, 6, 8, 1])), path)
    infer("maisi_ct", root, tmp_path / "out", labels=str(tmp_path / "maps"), num_volumes=2)
    written = [nibabel.load(p) for p in sorted((tmp_path / "out" / "labelsTr").glob("*.nii.gz"))]
    maps = [np.asarray(image.dataobj) for image in written]
    assert np.array_equal(*maps)
    assert set(np.unique(maps[0])) == {0, CLASSES["liver"], CLASSES["body"]}
    share = (maps[0] == CLASSES["liver"]).sum() * 2 * 3 * 4 / (4**3 * 4 * 6 * 8)
    assert share == pytest.approx(1, abs=0.25)
    images = [nibabel.load(p).get_fdata() for p in sorted((tmp_path / "out" / "imagesTr").glob("*.nii.gz"))]
    assert not np.array_equal(*images)
    labels[0, 0, 0] = 199
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([4.0, 6, 8, 1])), path)
    with pytest.raises(RuntimeError) as error:
        infer("maisi_ct", root, tmp_path / "other", labels=str(tmp_path / "maps"))
    assert "has the values [199.0], expected MAISI's" in str(causes(error.value)[-1])


def test_dicom_of_an_image_alone(fetched, tmp_path):
    root = fetched("maisi_ct", "rflow")
    infer("maisi_ct", root, tmp_path, labels="none", layout="dicom")
    files = sorted((tmp_path / "maisi_ct_seed00000").glob("*.dcm"))
    assert len(files) == 32
    slices = [pydicom.dcmread(path) for path in files]
    assert {s.Modality for s in slices} == {"CT"}
    assert slices[0].PixelSpacing == [3, 2]
    values = np.stack([s.pixel_array * s.RescaleSlope + s.RescaleIntercept for s in slices])
    assert -1000 <= values.min() < values.max() <= 1000


def test_dicom_with_a_segmentation(fetched, tmp_path):
    infer("maisi_ct", fetched("maisi_ct", "rflow"), tmp_path, layout="dicom", size=[32, 32, 32])
    case = tmp_path / "maisi_ct_seed00000"
    assert len(list((case / "ct").glob("*.dcm"))) == 32
    assert pydicom.dcmread(case / "labels.dcm").Modality == "SEG"


def test_the_first_form_is_told_the_region(fetched, tmp_path):
    root = fetched("maisi_ct", "ddpm", every=False)
    few = {"ddpm#_target_": "DDIMScheduler", "steps": 12}
    head, chest = (
        nibabel.load(infer("maisi_ct", root, tmp_path / name, body_region=[name], **few)[0]).get_fdata()
        for name in ("head", "chest")
    )
    assert not np.array_equal(head, chest)
    for options, said in (
        ({"body_region": ["leg"], **few}, "expected one or several of head, chest, abdomen, lower"),
        ({"labels": "made", **few}, "the weights have no networks for that"),
        ({}, "DDPMScheduler is asked for 2 steps and trained with 1000"),
        ({"size": [32, 30, 32], **few}, "Give --size [32, 32, 32]"),
    ):
        with pytest.raises(RuntimeError) as error:
            infer("maisi_ct", root, tmp_path, **options)
        assert said in f"{error.value} {error.value.__cause__}"


def test_evaluation_against_real_volumes(fetched, tmp_path):
    root = fetched("monai_brats_ldm")
    (tmp_path / "real").mkdir()
    grid = np.indices((40, 40, 40)).sum(0)
    for number in range(3):
        values = (500 + 300 * np.sin(grid / (3 + number))).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1, 1, 1])), tmp_path / "real" / f"{number}.nii.gz")
    infer("monai_brats_ldm", root, tmp_path / "report", "evaluate", dataset_dir=str(tmp_path / "real"), resamples=2)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    (space,) = report["spaces"].values()
    assert space["models"]["monai_brats_ldm"]["fid"]["value"] > 0
    with pytest.raises(RuntimeError) as error:
        infer("monai_brats_ldm", root, tmp_path / "none", "evaluate")
    assert "name one with --dataset_dir" in str(error.value.__cause__)


@pytest.mark.parametrize("bundle", SMALL)
def test_without_weights_it_is_said_how_to_fetch_them(bundle, tmp_path):
    workflow = ConfigWorkflow(
        config_file=config_file(bundle, "inference"),
        workflow_type="infer",
        bundle_root=str(tmp_path),
        **{f"defaults#{key}": value for key, value in NARROW[bundle].items()},
        **SMALL[bundle],
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    with pytest.raises(RuntimeError) as error:
        workflow.run()
    assert f"Fetch published ones: python -m tools fetch_weights {bundle}" in str(error.value.__cause__)
    with pytest.raises(FileNotFoundError, match=f"fetch_weights {bundle}"):
        collection.generate(bundle, trained=tmp_path)


def test_weights_of_others_are_not_packed_and_a_bundle_that_trains_nothing_is_no_pattern(fetched, tmp_path):
    root = fetched("monai_brats_ldm")
    with pytest.raises(ValueError, match=r"its weights are others', under Apache 2.0.*fetch_weights monai_brats_ldm"):
        pack_bundle("monai_brats_ldm", output_dir=tmp_path, trained=root)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="runs weights of others and trains nothing"):
        new("mine", like="maisi_ct", output_dir=str(tmp_path))


@pytest.mark.parametrize("bundle", SMALL)
def test_the_network_is_what_the_metadata_says(bundle):
    formats = json.loads((REPOSITORY / config_file(bundle, "metadata")).read_text())["network_data_format"]
    given, made = formats["inputs"]["image"], formats["outputs"]["pred"]
    shapes = [[int(side.removesuffix("*n")) for side in part["spatial_shape"]] for part in (given, made)]
    with torch.no_grad():
        image = networks(bundle, every=False).eval()(torch.randn(1, given["num_channels"], *shapes[0]))
    assert list(image.shape) == [1, made["num_channels"], *shapes[1]]
    low, high = made["value_range"]
    assert low <= image.min() <= image.max() <= high


def test_parts_of_the_decoder_are_computed_as_the_whole(fetched):
    """MAISI's `num_splits` against the whole volume, in float32: rounding, where windows changed the norms."""
    autoencoder = networks("maisi_ct", every=False).autoencoder.eval()
    latents = torch.randn(1, 4, 4, 12, 4)
    with torch.no_grad():
        made = {}
        for parts in (4, 2, 1):
            for layer in autoencoder.modules():
                if isinstance(layer, MaisiConvolution):
                    layer.num_splits = parts
            made[parts] = autoencoder.decode(latents)
        whole = made[1]
        for parts in (2, 4):
            assert (made[parts] - whole).abs().max() < 1e-4 * whole.std()
        windows = sliding_window_inference(latents, (4, 6, 4), 1, autoencoder.decode, overlap=0.5, mode="gaussian")
    assert (windows - whole).abs().max() > 0.01 * whole.std()
