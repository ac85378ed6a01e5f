"""Generation inside MONAI's evaluator: one latent at a time, with the class it belongs to."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.transforms import Orientation
from torch import nn

from tests.forms import assert_forms
from tools.engines.generation import OneByOneInferer, PrepareLatents, write_by_slabs
from tools.engines.logging import Progress, tensorboard_writer
from tools.engines.montage import TensorBoardMontage
from tools.networks.hierarchical_gan import Generator
from tools.transforms.volume import PlaceVolumed


class Sum(nn.Module):
    """A "generator" whose volume shows the latent and the class that it was given, and how many came at once."""

    def forward(self, latent, label=None):
        self.batch = len(latent)
        value = latent.sum(dim=1) + (0 if label is None else 1000 * label)
        return value.view(-1, 1, 1, 1, 1).expand(-1, 1, 4, 4, 4)


def evaluate(items, batch_size, handlers=()):
    network = Sum()
    outputs = []

    class Keep:
        def attach(self, engine):
            from ignite.engine import Events

            engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: outputs.extend(e.state.output))

    SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(items, batch_size=batch_size),
        network=network,
        prepare_batch=PrepareLatents(),
        inferer=OneByOneInferer(),
        val_handlers=[Keep(), *handlers],
    ).run()
    assert network.batch == 1
    return outputs


@pytest.mark.parametrize("batch_size", [1, 3])
def test_classes_and_real_volumes_stay_with_their_latents(batch_size):
    items = [
        {
            "latent": torch.full((2,), float(i)),
            "label": torch.tensor(i % 2),
            "image": torch.full((1, 4, 4, 4), -float(i)),
        }
        for i in range(3)
    ]
    outputs = evaluate(items, batch_size)
    assert [output["pred"].unique().tolist() for output in outputs] == [[0], [1002], [4]]
    assert [output["label"].unique().tolist() for output in outputs] == [[0], [-1], [-2]]


def test_neither_class_nor_real_volume_is_needed():
    outputs = evaluate([{"latent": torch.ones(2)}], 1)
    assert outputs[0]["pred"].unique().tolist() == [2]
    assert outputs[0].get("label") is None


def test_tensorboard_gets_a_picture_of_every_validation(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = tensorboard_writer(str(tmp_path))
    handlers = [TensorBoardMontage(writer, max_volumes=2), Progress(desc="Validation")]
    evaluate([{"latent": torch.full((2,), i / 10)} for i in range(3)], 1, handlers)
    writer.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    (picture,) = events.Images("samples")
    assert picture.step == 1
    assert picture.height > 4


def test_slabs_give_the_same_volumes():
    torch.manual_seed(0)
    network = Generator(32, latent_dim=8, base_channels=16, num_classes=2).eval()
    latents, label = torch.randn(2, 8), torch.tensor([0, 1])
    with torch.no_grad():
        whole = OneByOneInferer()(latents, network, label=label)
        slabs = OneByOneInferer(slab_length=8)(latents, network, label=label)
    torch.testing.assert_close(slabs, whole, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="slab_length is -1"):
        OneByOneInferer(slab_length=-1)


@pytest.mark.parametrize("label", [None, torch.tensor([1])])
def test_a_file_written_by_slabs_is_what_inference_writes(tmp_path, label):
    """As inference.json: generate, place, window, round, turn to RAS."""
    torch.manual_seed(0)
    generator = Generator(32, 16, base_channels=8, num_classes=0 if label is None else 2)
    latent = torch.randn(1, 16)
    window, field_of_view = (-1024, 600), (320.0, 350.0, 360.0)
    write_by_slabs(generator, latent, tmp_path / "large.nii", window, field_of_view, label, slab_length=10)

    with torch.no_grad():
        volume = generator(latent, label)[0]
    placed = PlaceVolumed("pred", field_of_view)({"pred": volume, "name": "v"})["pred"]
    expected = Orientation("RAS", labels=None)((placed + 1) / 2 * 1624 - 1024)
    assert_forms(tmp_path / "large.nii")
    written = nib.load(tmp_path / "large.nii")
    assert written.get_data_dtype() == np.int16
    assert nib.aff2axcodes(written.affine) == ("L", "P", "S")
    ras = nib.as_closest_canonical(written)
    np.testing.assert_allclose(ras.affine, expected.affine, atol=1e-4)
    np.testing.assert_allclose(ras.get_fdata(), expected[0], atol=0.51)
    assert [path.name for path in tmp_path.iterdir()] == ["large.nii"]


def test_slabs_go_to_one_plain_file(tmp_path):
    generator = Generator(32, 16, base_channels=8)
    with pytest.raises(ValueError, match=r"ends in \.nii"):
        write_by_slabs(generator, torch.randn(1, 16), tmp_path / "large.nii.gz", (-1, 1), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="got 2 latents"):
        write_by_slabs(generator, torch.randn(2, 16), tmp_path / "large.nii", (-1, 1), (1.0, 1.0, 1.0))
    assert not any(tmp_path.iterdir())
