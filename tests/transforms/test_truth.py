import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from tools.transforms.truth import TrueCTd


def test_the_true_ct_lies_on_the_grid_of_the_image(tmp_path):
    """HU that are five times the position to the right in mm, in whatever voxels they are stored."""
    hu = np.broadcast_to(10 * np.arange(20)[:, None, None], (20, 20, 16)).astype(np.int16)
    nib.save(nib.Nifti1Image(hu, np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / "ct.nii.gz")
    affine = torch.tensor([[0, 0, -3.0, 31], [0, -3, 0, 30], [4, 0, 0, 5], [0, 0, 0, 1]])
    given = {"mr": MetaTensor(torch.zeros(2, 6, 7, 8), affine=affine)}
    add = TrueCTd("mr", {"MR/4": {"ct": str(tmp_path / "ct.nii.gz")}})
    found = add({**given, "id": "MR/4/in_phase"})["true_ct"]
    right = 31 - 3 * torch.arange(8.0)
    torch.testing.assert_close(found.as_tensor(), (5 * right).expand(1, 6, 7, 8), atol=1e-2, rtol=0)
    torch.testing.assert_close(found.affine.float(), affine)
    for unknown in ({"id": "MR/40"}, {}):
        assert set(add({**given, **unknown})) == {"mr", *unknown}
