"""Pairs by their ids, and single slices, from the same datalists as volumes."""

import nibabel as nib
import numpy as np
import pytest

from tools.data.pairs import paired_datalist
from tools.data.volumes import volume_datalist
from tools.io.readers import VolumeError


def write(path, depth):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.arange(12 * depth, dtype=np.int16).reshape(4, 3, depth), np.eye(4)), path)
    return str(path)


@pytest.mark.parametrize("depth", [1, 3])
def test_volumes_and_slices_of_depth_one_are_paired_by_their_ids(tmp_path, depth):
    mr = [write(tmp_path / "mr" / f"{name}.nii.gz", depth) for name in "abc"]
    ct = [write(tmp_path / "ct" / name, depth) for name in ("b.nii", "c.nii.gz", "d.nii.gz")]
    images, targets = (volume_datalist(tmp_path / name, least=1) for name in ("mr", "ct"))
    with pytest.warns(UserWarning, match="2 of 4 ids are left out:\n *a: it has no target\n *d: it has no image"):
        pairs = paired_datalist(images, targets)
    assert pairs == [{"id": i, "image": x, "label": y} for i, x, y in zip("bc", mr[1:], ct, strict=False)]
    if depth == 1:
        with pytest.raises(VolumeError, match="expected a volume with 2 or more along every axis"):
            volume_datalist(tmp_path / "mr")


def test_what_makes_no_pair_is_an_error():
    a, b = ({"id": name, "image": f"{name}.nii"} for name in "ab")
    with pytest.raises(VolumeError, match=r"none of 1 images has a target of its id:\n *a: it has no target"):
        paired_datalist([a], [b])
    with pytest.raises(VolumeError, match="two targets have the id 'b'; a pair is told by its id"):
        paired_datalist([a], [b, b])
