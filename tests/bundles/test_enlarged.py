"""Volumes with labels on more voxels than their network makes."""

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import map_coordinates

from tests.tiny import config_file
from tools.engines.settings import check_settings

FIELD_OF_VIEW = [36.0, 50.0, 34.0]
LABELLED = ["alpha_gan_hippocampus", "ldm_hippocampus", "rflow_hippocampus", "stylegan3d_hippocampus"]


def linear(channel, times):
    """A volume on so many voxels for each of its own, linear between their middles, flat beyond the outermost."""
    places = [(np.arange(times * n) + 0.5) / times - 0.5 for n in channel.shape]
    return map_coordinates(channel, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")


def written(bundle, sample, folder, **options):
    """What the inference of a bundle writes of a network's sample: image and label map as files, axes R, A and S."""
    parser = ConfigParser(ConfigParser.load_config_file(config_file(bundle, "inference")))
    parser.update({"output_dir": str(folder), "field_of_view": FIELD_OF_VIEW, "trained": parser.get("defaults")})
    parser.update(
        {"origin": {"_target_": "tools.io.provenance.Provenance", "bundle": bundle, "version": "0"}, **options}
    )
    made = parser.get_parsed_content("postprocessing")({"pred": sample, "name": "case", "seed": 0})
    parser.get_parsed_content("writers")(made)
    return nibabel.load(folder / "imagesTr" / "case_0000.nii.gz"), nibabel.load(folder / "labelsTr" / "case.nii.gz")


@pytest.mark.parametrize("bundle", LABELLED)
def test_channels_are_linear_in_between_and_then_each_voxel_gets_its_class(bundle, tmp_path):
    sample = 2 * torch.rand(3, 6, 8, 5, generator=torch.Generator().manual_seed(0)) - 1
    image, label = written(bundle, sample, tmp_path, enlarge=2)
    assert image.shape == label.shape == (10, 16, 12)
    spacing = [extent / n for extent, n in zip(FIELD_OF_VIEW[::-1], image.shape, strict=True)]
    assert image.header.get_zooms() == pytest.approx(spacing)  # of the same space
    # the network's axes run to the head, the back and the left
    channels = np.stack([linear(channel, 2).transpose(2, 1, 0)[::-1, ::-1] for channel in sample.double().numpy()])
    np.testing.assert_allclose(image.get_fdata(), 500 * (channels[0] + 1), atol=0.51)
    classes = channels[1:]
    np.testing.assert_array_equal(label.get_fdata(), np.where(classes.max(0) > 0, classes.argmax(0) + 1, 0))


def test_by_default_files_have_the_networks_voxels(tmp_path):
    sample = torch.rand(3, 4, 6, 4, generator=torch.Generator().manual_seed(0))
    image, _ = written("rflow_hippocampus", sample, tmp_path)
    assert image.shape == (4, 6, 4)
    np.testing.assert_allclose(
        image.get_fdata(), 500 * (sample[0].numpy().transpose(2, 1, 0)[::-1, ::-1] + 1), atol=0.51
    )


def test_fewer_voxels_are_refused():
    with pytest.raises(ValueError, match=r"enlarge 0\.5: expected a number from 1"):
        check_settings(enlarge=0.5)
