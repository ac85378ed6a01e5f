"""What space the cubes cover that networks see: recorded from the cubes, and written with what is generated."""

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run

from tests.data.scans import SIZE, prepare
from tests.tiny import config_file
from tools.data import store
from tools.data.cubes import Cubes, cube_dataset
from tools.data.provenance import data_provenance
from tools.data.volumes import section_datalist

DATASETS = {"ct": "luna16", "t1": "gsp"}


@pytest.fixture(params=DATASETS)
def kind(request):
    return request.param


@pytest.fixture
def originals(kind, request):
    return request.getfixturevalue({"ct": "dataset", "t1": "heads"}[kind])


def cubes_of(kind, folder, cache_dir, num_workers=0):
    cubes = Cubes(kind, folder, SIZE, cache_dir=cache_dir, num_workers=num_workers)
    return cubes, cube_dataset(section_datalist(DATASETS[kind], folder, "training"), cubes)


def record(kind, folder, cache_dir, num_workers=0):
    """What a training on this folder records of the space that its cubes cover."""
    cubes, dataset = cubes_of(kind, folder, cache_dir, num_workers)
    return data_provenance(folder, dataset.data, cubes.fields_of_view(dataset))["field_of_view_mm"]


def test_training_from_originals_and_from_copies_records_the_same(kind, originals, tmp_path):
    """The mean extent of the training volumes after cutting, as nibabel reads it from the copies."""
    prepare(originals, tmp_path / "copies", kind=kind)
    found = record(kind, originals, tmp_path / "cache")
    assert found == record(kind, tmp_path / "copies", None)
    assert found == pytest.approx(record(kind, originals, None), abs=1e-3)  # without a store
    extents = []
    for item in section_datalist(DATASETS[kind], tmp_path / "copies", "training"):
        copy = nibabel.load(item["image"])
        zooms = np.array(copy.header.get_zooms()) * copy.shape
        axes = [axis for axis, _ in nibabel.io_orientation(copy.affine)]
        extents.append([zooms[axes.index(anatomical)] for anatomical in (2, 1, 0)])
    assert found == pytest.approx(np.mean(extents, axis=0), abs=2e-3)


def test_cubes_carry_it_and_the_second_time_nothing_is_computed(kind, originals, tmp_path, monkeypatch):
    first = record(kind, originals, tmp_path / "cache")
    _, dataset = cubes_of(kind, originals, tmp_path / "cache")
    extents = [dataset[i]["field_of_view_mm"] for i in range(len(dataset))]
    torch.testing.assert_close(torch.stack(extents).mean(0), torch.tensor(first), atol=1e-3, rtol=0)
    monkeypatch.setattr(type(dataset), "__getitem__", lambda *_: pytest.fail("an item was read as a whole"))
    monkeypatch.setattr(store._Task, "result", lambda _: pytest.fail("a volume was computed anew"))
    assert record(kind, originals, tmp_path / "cache") == first


def test_no_random_number_is_taken(dataset, tmp_path):
    """Networks are initialised before or after: their weights must be the same."""
    before = torch.get_rng_state()
    record("ct", dataset, tmp_path / "cache")
    assert torch.equal(torch.get_rng_state(), before)


RADIUS, SPHERE, BODY = 36.0, 300, 40  # mm, HU, HU


def write_sphere(path, shape, spacing):
    """CT of a sphere in a cylinder of soft tissue, with blank slices below and above; axes x, y, z."""
    x, y, z = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True))
    x, y, z = np.meshgrid(x, y, z, indexing="ij", sparse=True)
    hu = np.where((x / 120) ** 2 + (y / 100) ** 2 < 1, BODY, -1000.0) + np.zeros(shape)
    hu[x**2 + y**2 + z**2 < RADIUS**2] = SPHERE
    hu += np.random.default_rng(0).normal(0, 5, shape)
    hu[:, :, :15] = hu[:, :, -20:] = -1000
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(hu.round().astype(np.int16), np.diag([*spacing, 1.0])), path)


class Copies(torch.nn.Module):
    """A generator that makes one training cube, whatever its latent."""

    def __init__(self, path):
        super().__init__()
        self.register_buffer("cube", torch.load(path))

    def forward(self, latent, label=None):
        return self.cube[None].expand(len(latent), -1, -1, -1, -1)


@pytest.mark.parametrize("source", ["originals", "copies"])
def test_a_sphere_comes_back_in_millimetres_and_hounsfield_units(source, tmp_path):
    """From files on disk through train.json's data and inference.json's writer, with a generator that copies."""
    folder, size = tmp_path / "ct", 64
    for name in "abc":
        write_sphere(folder / f"{name}.nii.gz", (150, 130, 100), (1.8, 1.9, 2.5))
    if source == "copies":
        prepare(folder, tmp_path / "ready", image_size=size)
        folder = tmp_path / "ready"
    parser = ConfigParser(ConfigParser.load_config_file(config_file("crf_gan_luna16", "train")))
    parser.update({"bundle_root": str(tmp_path / "bundle"), "dataset_dir": str(folder), "image_size": size})
    parser["num_workers"], parser["batch_size"] = 0, 1
    settings = {
        "image_size": size,
        "latent_dim": 8,
        "base_channels": 8,
        "num_classes": 0,
        "window": parser.get_parsed_content("window"),
        "data": parser.get_parsed_content("provenance"),
    }
    assert settings["data"]["field_of_view_mm"] == pytest.approx([65 * 2.5, 130 * 1.9, 150 * 1.8], abs=1e-2)
    torch.save(parser.get_parsed_content("train#dataset")[0]["image"], tmp_path / "cube.pth")
    run(
        config_file=config_file("crf_gan_luna16", "inference"),
        bundle_root=str(tmp_path / "bundle"),
        trained=settings,
        network={"_target_": "tests.data.test_geometry.Copies", "path": str(tmp_path / "cube.pth")},
        handlers=[{"_target_": "PostProcessing", "transform": "@writers"}],
        num_volumes=1,
        output_dir=str(tmp_path / "out"),
        device=torch.device("cpu"),
    )
    (path,) = (tmp_path / "out").glob("*.nii.gz")
    volume = nibabel.load(path)
    hu, zooms = volume.get_fdata(), np.array(volume.header.get_zooms())
    assert nibabel.aff2axcodes(volume.affine) == ("R", "A", "S")
    inside = hu > (SPHERE + BODY) / 2
    assert inside.sum() * zooms.prod() == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.05)
    places = np.argwhere(inside) * zooms
    # along each axis the places in a ball have a standard deviation of its radius over the root of 5
    assert places.std(0) * np.sqrt(5) == pytest.approx(RADIUS, rel=0.03)
    middle = (places.mean(0) / zooms).round().astype(int)
    core = hu[tuple(slice(m - 2, m + 3) for m in middle)]
    assert core.mean() == pytest.approx(SPHERE, abs=3)
    tissue = (hu > -100) & (hu < 150)
    assert np.median(hu[tissue]) == pytest.approx(BODY, abs=2)
