"""The patient alone is left of a CT: no table, no lung lost."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from tools.transforms.body import ClearOutsideBodyd, body_mask

AFFINE = torch.diag(torch.tensor([3.0, 2.0, 2.0, 1.0]))


def patient():
    """A body with two lungs on a table of two shells, and an arm beside it; its mask without the table."""
    y, x = np.mgrid[:96, :128]
    body = ((y - 40) / 28) ** 2 + ((x - 56) / 40) ** 2 < 1
    arm = ((y - 40) / 12) ** 2 + ((x - 112) / 10) ** 2 < 1
    hu = np.full((96, 128), -1000.0)
    hu[body | arm] = 40
    for centre in (40, 72):
        hu[((y - 40) / 16) ** 2 + ((x - centre) / 10) ** 2 < 1] = -850
    hu[70:72] = hu[86:88] = 100  # the first is as near as a body lies
    return np.stack([hu] * 6).astype(np.float32), np.stack([body | arm] * 6)


def test_table_becomes_air_and_the_body_stays():
    hu, body = patient()
    out = ClearOutsideBodyd("image")({"image": MetaTensor(hu[None], affine=AFFINE)})["image"].numpy()[0]
    assert np.array_equal(out[body], hu[body])
    assert (out[:, 70:72, :10] == -1024).all()
    assert (out[:, 86:] == -1024).all()
    assert (out[:, 40, 40] == -850).all()


def test_the_input_is_left_alone():
    hu, _ = patient()
    image = MetaTensor(hu[None], affine=AFFINE)
    ClearOutsideBodyd("image")({"image": image})
    assert np.array_equal(image.numpy()[0], hu)


def test_a_volume_cut_out_of_a_body_is_left_as_it_is():
    hu = np.full((4, 32, 32), 40.0, np.float32)
    hu[:, 10:22, 20:] = -850  # a lung that is open to the border
    image = MetaTensor(hu[None], affine=AFFINE)
    assert torch.equal(ClearOutsideBodyd("image")({"image": image})["image"], image)


def test_air_alone_is_left_as_it_is():
    image = MetaTensor(torch.full((1, 4, 16, 16), -1000.0), affine=AFFINE)
    assert torch.equal(ClearOutsideBodyd("image")({"image": image})["image"], image)
    with pytest.raises(ValueError, match="denser than -500 HU"):
        body_mask(image.numpy()[0])


def test_what_is_thinner_than_a_body_is_left_as_it_is():
    hu = torch.full((1, 4, 16, 16), -1000.0)
    hu[:, :, ::4] = 71  # sheets and tubes, but no patient
    image = MetaTensor(hu, affine=AFFINE)
    assert torch.equal(ClearOutsideBodyd("image")({"image": image})["image"], image)
    with pytest.raises(ValueError, match=r"as thick as a body is denser than -500 HU \(values from -1000 to 71\)"):
        body_mask(image.numpy()[0])
