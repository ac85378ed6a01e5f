"""From published files to images, evaluation and a reader study, by networks with the published structure."""

import json

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monai.apps.generation.maisi.networks.autoencoderkl_maisi import MaisiConvolution
from monai.bundle import ConfigWorkflow, run
from monai.data import load_decathlon_datalist
from monai.inferers import sliding_window_inference

from tests.published.files import NARROW, networks, write_files
from tests.tiny import REPOSITORY, config_file
from tools import collection
from tools.__main__ import main
from tools.catalogue.new import new
from tools.errors import causes
from tools.published import command
from tools.share.pack import pack_bundle
from tools.transforms.maisi import CLASSES, MADE
from tools.transforms.published import real_volumes

SMALL = {
    "maisi_ct": {"size": [32, 32, 32], "spacing": [2.0, 3.0, 4.0], "mask_size": [32, 32, 32], "mask_spacing": 4.0,
                 "steps": 2, "mask_scheduler#num_train_timesteps": 2, "mask_steps": 2, "mask_num_splits": 2,
                 "clean_labels": False},
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
            options = {"weights": str(folder / "files"), "form": form, "accept_license": True, "sizes": NARROW[bundle]}
            command.fetch_weights(bundle, output_dir=str(folder / "models"), **options)
            made[bundle, form] = folder
        return made[bundle, form]

    return fetch


def infer(bundle, root, out, *overlays, **options):
    files = config_file(bundle, "inference", *overlays)
    small = {**SMALL[bundle], "device": "cpu", "bundle_root": str(root), "output_dir": str(out)}
    run(config_file=files, **{**small, **options})
    return sorted(out.glob("*.nii.gz"))


@pytest.fixture(scope="module")
def cohort(fetched, tmp_path_factory):
    """Two volumes of the bundle that is tested by all commands; tests must leave them as they are."""
    folder = tmp_path_factory.mktemp("cohort")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        infer("monai_brats_ldm", fetched("monai_brats_ldm"), folder, num_volumes=2, seed=4)
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Two volumes of waves, of other voxels than those that are made."""
    folder = tmp_path_factory.mktemp("real")
    grid = np.indices((40, 40, 40)).sum(0)
    for number in range(2):
        values = (500 + 300 * np.sin(grid / (3 + number))).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1, 1, 1])), folder / f"{number}.nii.gz")
    return folder


def test_volumes_follow_from_their_seeds(fetched, cohort):
    first, second = sorted(cohort.glob("*.nii.gz"))
    assert [first.name, second.name] == [f"monai_brats_ldm_seed0000{seed}.nii.gz" for seed in (4, 5)]
    image = nibabel.load(first)
    assert image.shape == tuple(SMALL["monai_brats_ldm"]["size"])
    assert image.header.get_zooms() == pytest.approx((1.1, 1.1, 1.1))
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    values = np.asarray(image.dataobj)
    assert 0 <= values.min() < values.max() <= 1000
    assert "seed 4" in str(image.header["descrip"])
    assert (cohort / "montage.png").is_file()
    options = {"device": "cpu", **SMALL["monai_brats_ldm"]}
    (item,) = collection.generate("monai_brats_ldm", seed=5, trained=fetched("monai_brats_ldm"), **options)
    assert item["image"].meta["unit"] == "grey values"
    assert np.array_equal(item["image"][0].numpy().round(), np.asarray(nibabel.load(second).dataobj))


def test_the_brain_is_told_its_conditions(fetched, tmp_path):
    root = fetched("monai_brain_ldm")
    young, old = (
        nibabel.load(infer("monai_brain_ldm", root, tmp_path / age, **{"conditions#age": float(age)})[0])
        for age in ("0.1", "0.9")
    )
    assert young.shape == tuple(SMALL["monai_brain_ldm"]["size"])
    assert nibabel.aff2axcodes(young.affine) == ("R", "A", "S")
    assert not np.array_equal(young.get_fdata(), old.get_fdata())
    with pytest.raises(RuntimeError) as error:
        infer("monai_brain_ldm", root, tmp_path, **{"conditions#age": 70})
    assert "expected numbers from 0 to 1" in str(error.value.__cause__)


def test_ct_with_label_maps_is_a_folder_to_train_on(fetched, tmp_path):
    infer("maisi_ct", fetched("maisi_ct", "rflow"), tmp_path)
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["labels"] == CLASSES
    assert content["channel_names"] == {"0": "CT"}
    (case,) = load_decathlon_datalist(tmp_path / "dataset.json", data_list_key="training")
    image, label = (nibabel.load(case[kind]) for kind in ("image", "label"))
    assert image.shape == label.shape == (32, 32, 32)
    assert image.header.get_zooms() == label.header.get_zooms() == (2, 3, 4)
    values, classes = np.asarray(image.dataobj), np.asarray(label.dataobj)
    assert -1000 <= values.min() < values.max() <= 1000
    assert len(np.unique(classes)) > 3
    assert set(np.unique(classes)) <= {CLASSES["body"] if value == 200 else value for value in MADE}
    assert (values[classes == 0] == -1000).all()


def test_ct_of_label_maps_in_files(fetched, tmp_path):
    root = fetched("maisi_ct", "rflow")
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:16, 4:16, 4:16] = 200
    labels[8:12, 8:12, 8:12] = CLASSES["liver"]
    (tmp_path / "maps").mkdir()
    path = tmp_path / "maps" / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([-4.0, 6, 8, 1])), path)
    infer("maisi_ct", root, tmp_path / "out", labels=str(tmp_path / "maps"), layout="dicom")
    case = tmp_path / "out" / "maisi_ct_seed00000"
    slices = [pydicom.dcmread(file) for file in (case / "ct").glob("*.dcm")]
    assert len(slices) == 32
    assert slices[0].PixelSpacing == [3, 2]
    values = np.stack([s.pixel_array * s.RescaleSlope + s.RescaleIntercept for s in slices])
    assert -1000 <= values.min() < values.max() <= 1000
    segmented = pydicom.dcmread(case / "labels.dcm")
    assert {segment.SegmentLabel for segment in segmented.SegmentSequence} == {"liver", "body"}
    labels[0, 0, 0] = 199
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([4.0, 6, 8, 1])), path)
    with pytest.raises(RuntimeError) as error:
        infer("maisi_ct", root, tmp_path / "other", labels=str(tmp_path / "maps"))
    assert "has the values [199.0], expected MAISI's" in str(causes(error.value)[-1])


def test_the_first_form_alone_and_decoded_in_parts(fetched, tmp_path):
    """Whole, by slabs of the last layers: the same HU; networks of labels are not there."""
    root = fetched("maisi_ct", "ddpm", every=False)
    few = {"ddpm#_target_": "DDIMScheduler", "steps": 12}
    whole, parts = (
        nibabel.load(infer("maisi_ct", root, tmp_path / str(length), slab_length=length, **few)[0]).get_fdata()
        for length in (0, 8)
    )
    assert whole.std() > 1
    assert np.abs(whole - parts).max() <= 1
    for options, said in (
        ({"body_region": ["leg"], **few}, "expected one or several of head, chest, abdomen, lower"),
        ({}, "DDPMScheduler is asked for 2 steps and trained with 1000"),
        ({"size": [32, 30, 32], **few}, "Give --size [32, 32, 32]"),
        ({"num_splits": 3, **few}, "Give --num_splits 2"),
    ):
        with pytest.raises(RuntimeError) as error:
            infer("maisi_ct", root, tmp_path, **options)
        assert said in "".join(map(str, causes(error.value)))


def test_dicom_of_an_image_alone(fetched, tmp_path):
    infer("monai_brats_ldm", fetched("monai_brats_ldm"), tmp_path, layout="dicom")
    slices = [pydicom.dcmread(path) for path in (tmp_path / "monai_brats_ldm_seed00000").glob("*.dcm")]
    assert len(slices) == 16
    assert {s.Modality for s in slices} == {"MR"}
    assert json.loads(slices[0].ImageComments)["bundle"] == "monai_brats_ldm"


def test_evaluation_against_real_volumes(fetched, real, tmp_path):
    root = fetched("monai_brats_ldm")
    infer("monai_brats_ldm", root, tmp_path / "report", "evaluate", dataset_dir=str(real), resamples=2)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    (space,) = report["spaces"].values()
    assert space["models"]["monai_brats_ldm"]["fid"]["value"] > 0
    with pytest.raises(RuntimeError) as error:
        infer("monai_brats_ldm", root, tmp_path / "none", "evaluate")
    assert "name one with --dataset_dir" in str(error.value.__cause__)


def test_what_is_made_can_be_judged_by_readers(cohort, tmp_path):
    (tmp_path / "real").mkdir()
    for number, path in enumerate(cohort.glob("*.nii.gz")):  # on the grid of what is made, as a survey wants them
        made = nibabel.load(path)
        waves = (500 + 900 * np.sin(np.indices(made.shape).sum(0) / (3 + number))).clip(0, 1000).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(waves, made.affine), tmp_path / "real" / f"{number}.nii.gz")
    folders = ["--real", str(tmp_path / "real"), "--synthetic", str(cohort), "--output_dir", str(tmp_path / "study")]
    words = ["--kind", "survey", "--scans", "4", "--readers", "1", "--window=0,1000"]
    main(["study", "build", *folders, *words])
    assert len(list((tmp_path / "study" / "images").iterdir())) == 4


def test_real_volumes_come_to_the_grid(tmp_path):
    """Of a window in HU, cut and padded around the middle, with axes as a report takes them."""
    values = np.full((10, 12, 14), -2000, np.int16)
    values[:5] = 500
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), tmp_path / "a.nii.gz")
    item = real_volumes((16, 8, 14), (2, 2, 2), "RAS", (-1000, 1000))({"image": str(tmp_path / "a.nii.gz")})
    image = item["image"][0]
    assert image.shape == (14, 8, 16)  # slices, rows, columns
    # columns run to the left: padding, what was at the right end, at the left end, padding
    assert image[0, 0].tolist() == [*[-1.0] * 3, *[-1.0] * 5, *[0.5] * 5, *[-1.0] * 3]


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
