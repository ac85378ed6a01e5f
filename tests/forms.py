"""What every NIfTI file of the project must say of its place, as nibabel reads it."""

import nibabel as nib
import numpy as np


def assert_forms(path, affine=None):
    """Sform and qform are set and the same, in millimetres."""
    image = nib.load(path)
    (sform, sform_code), (qform, qform_code) = image.get_sform(coded=True), image.get_qform(coded=True)
    assert (sform_code, qform_code) == (1, 1)
    np.testing.assert_allclose(qform, sform, atol=1e-3)
    assert image.header.get_xyzt_units()[0] == "mm"
    if affine is not None:
        np.testing.assert_allclose(image.affine, affine, atol=1e-4)
