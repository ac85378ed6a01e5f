"""What is measured of a bundle: its own training, on batches of its own loader."""

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.benchmark.small import CRF, NARROW, PHANTOMS, SLICES, TINY
from tests.tiny import family
from tools.benchmark.batches import repeated, write_first_batch
from tools.benchmark.configs import bundle_names, dimensions, has_reference, kind, read_config
from tools.benchmark.published import PARAMETERS
from tools.benchmark.training import build_trainer, learnable_parameters

COUNTS = {
    "crf_gan_luna16": {64: 57_079_938, 128: 57_209_762, 256: 57_244_594},
    "ha_gan_luna16": {64: 78_672_324, 128: 79_583_972, 256: 79_744_884},
}


@pytest.mark.parametrize(
    ("bundle", "image_size", "count"),
    [(bundle, *item) for bundle in COUNTS if bundle in bundle_names() for item in COUNTS[bundle].items()],
)
def test_learnable_parameters(bundle, image_size, count):
    """Exact, and within one and a half units of the last digit that the paper prints."""
    assert learnable_parameters(bundle, image_size, {}) == count
    printed = PARAMETERS[bundle][image_size]
    assert count == pytest.approx(printed, abs=15_000 if printed % 100_000 else 150_000)


def test_networks_are_counted_without_data(tmp_path, monkeypatch):
    """Also of a bundle whose training may be private, which looks at the data first."""
    monkeypatch.chdir(tmp_path)
    assert learnable_parameters("wgan_gp_luna16", 64, {}) > 1e6
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bundle", [bundle for bundle in COUNTS if bundle in bundle_names()])
def test_the_trainer_is_the_bundles_own_without_its_surroundings(bundle, tmp_path, monkeypatch):
    """Updates, draws, precision and average as configured; no files or handlers."""
    monkeypatch.chdir(tmp_path)
    overrides = TINY | {"base_channels": 16, "accumulation": 3}
    trainer = build_trainer(bundle, 32, 3, "bf16", torch.device("cpu"), overrides)
    (batch,) = trainer.data_loader
    assert batch["image"].shape == (3, 1, 32, 32, 32)
    assert -1 <= batch["image"].min() < -0.9 < 0.9 < batch["image"].max() <= 1
    assert (trainer.precision, trainer.accumulation) == ("bf16", 3)
    assert len(trainer.averages) == 1
    assert {"discriminator", "generator", "encoder"} < {update.name for update in trainer.updates}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bundle", "overrides", "keys"),
    [
        (CRF, {"num_classes": 2}, {"image", "label"}),
        ("ha_gan_gsp", {}, {"image"}),
        ("cyclegan_triple", {"slices": 3}, {"mr", "ct"}),
    ],
)
def test_the_batch_is_the_first_of_the_bundles_own_loader(bundle, overrides, keys, batch_file):
    """Row by row, labels too, in the order of its sampler; more rows than it has begin with the first again."""
    overrides = overrides | (SLICES if kind(bundle) == "translate" else PHANTOMS)
    path = Path(batch_file(bundle, 32, overrides))
    # the phantoms beside the batch
    parser = read_config(bundle, overrides | {"image_size": 32, "bundle_root": str(path.parent)})
    first = next(iter(parser.get_parsed_content("train#dataloader")))
    (few,), (many,) = (repeated(str(path), rows) for rows in (3, 9))
    assert keys <= few.keys() == many.keys()
    for key in keys:
        assert torch.equal(few[key], first[key][:3])
        assert torch.equal(many[key], first[key][[0, 1, 2, 3, 0, 1, 2, 3, 0]])


def test_the_batch_is_of_the_users_data_if_they_say_so(tmp_path):
    """Volumes of a folder of one's own, in the place of phantoms, of which none are made."""
    data = tmp_path / "data"
    data.mkdir()
    for number in range(5):
        voxels = np.full((40, 40, 40), -1000, np.int16)
        voxels[8:32, 8:32, 8:32] = 312 + number
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), data / f"{number}.nii.gz")
    path = tmp_path / "made" / "32.pt"
    write_first_batch(CRF, 32, {"dataset_dir": str(data)}, path)
    (batch,) = repeated(str(path), 2)
    middle = (batch["image"][:, 0, 16, 16, 16] + 1) / 2 * 1624 - 1024
    assert {round(float(hu)) for hu in middle} < {312, 313, 314, 315, 316}
    assert not any("phantom" in found.name for found in path.parent.iterdir())


def test_what_a_bundle_does_is_read_from_its_metadata():
    known = {
        "crf_gan": ("generate", 3, True),
        "ha_gan": ("generate", 3, True),
        "cyclegan": ("translate", 2, False),
        "rflow_hippocampus": ("generate", 3, False),
        "stylegan2 of slices": ("generate", 2, True),
        "stylegan3_brats": ("generate", 2, False),
    }
    for bundle in bundle_names():
        found = (kind(bundle), dimensions(bundle), has_reference(bundle))
        assert found == known.get(bundle, known.get(family(bundle), found))


@pytest.mark.parametrize("bundle", ["cyclegan_mri2ct_all_in", "cyclegan_triple"])
def test_cyclegans_train_on_slices(bundle, batch_file):
    """Of the size and channels that the bundle loads, which it crops to what it trains on."""
    overrides = NARROW | {"slices": 3}
    batch = batch_file(bundle, 32, overrides)
    trainer = build_trainer(bundle, 32, 2, "fp32", torch.device("cpu"), overrides, batch)
    (batch,) = trainer.data_loader
    modalities = trainer.networks["generator_ct2mr"](torch.zeros(1, 3, 32, 32)).shape[1] // 3
    assert batch["mr"].shape == (2, 3 * modalities, 36, 36)
    assert batch["ct"].shape == (2, 3, 36, 36)
    trainer.state.epoch_length = 1
    trainer.run()
    assert all(math.isfinite(value) for value in trainer.state.output[0]["loss"].values())
