import nibabel as nib
import numpy as np
import pytest
import torch

from tools.io.readers import VolumeError
from tools.transforms.channels import UNKNOWN, Channels
from tools.transforms.digest import chain_digest
from tools.transforms.samples import SCALE, majority, sample_slices

CHANNELS = Channels({"t1": 99.5, "flair": 100}, {"core": 1, "oedema": [2, 4]})
RAS = np.diag([1.0, 1, 2, 1])


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    """Two contrasts and a label, [x, y, z] = 24 x 20 x 6 in mm of 1, 1 and 2; the label lies the other way round."""
    folder = tmp_path_factory.mktemp("case")
    rng = np.random.default_rng(3)
    body = np.zeros((24, 20, 6))
    body[4:20, 3:17, 1:5] = 100
    t1 = body + rng.uniform(0, 20, body.shape)
    flair = 3 * body + rng.uniform(0, 20, body.shape)
    label = np.zeros(body.shape, np.uint8)
    label[6:10, 5:9, 2], label[12:15, 5:9, 2:4], label[16, 10, 3] = 1, 2, 4
    flipped = RAS @ np.array([[-1, 0, 0, 23], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    for name, voxels, affine in (("t1", t1, RAS), ("flair", flair, RAS), ("seg", label[::-1], flipped)):
        nib.save(nib.Nifti1Image(voxels.astype(np.float32), affine), folder / f"{name}.nii.gz")
    paths = {name: str(folder / f"{name}.nii.gz") for name in ("t1", "flair")}
    return {"id": "case", "image": paths, "label": str(folder / "seg.nii.gz")}, (t1, flair, label)


def refused(chain, item):
    """The words of the `VolumeError` that an item ends in."""
    with pytest.raises(Exception) as caught:  # noqa: PT011, MONAI's Compose wraps it
        chain(item)
    return str(VolumeError.behind(caught.value))


def test_slices_show_what_the_files_hold(item):
    files, (t1, flair, label) = item
    made = sample_slices(CHANNELS, 24)(files)
    image, index = made["image"], made["label"]
    assert image.shape == (2, 6, 24, 24)
    assert index.shape == (1, 6, 24, 24)
    assert index.dtype == torch.uint8
    assert made["known"].tolist() == [True, True]
    (_, p), (_, high) = image.meta[SCALE].tolist()
    assert p == pytest.approx(np.percentile(np.float32(t1)[t1 > t1.mean()], 99.5), rel=1e-6)
    assert high == pytest.approx(flair.max(), rel=1e-6)
    affine = image.affine.numpy()  # of the squares, [axial, row, column] to mm
    inside = 0
    for z, y, x in np.ndindex(6, 24, 24):
        i, j, k = np.rint((affine @ [z, y, x, 1])[:3] / [1, 1, 2]).astype(int)
        if not 0 <= j < 20:  # 20 rows were padded to 24
            assert index[0, z, y, x] == 0
            assert image[:, z, y, x].tolist() == [-1, -1]
            continue
        inside += 1
        assert index[0, z, y, x] == (0, 1, 2, 0, 2)[label[i, j, k]]
        expected = [min(1, np.float32(t1[i, j, k]) / p * 2 - 1), np.float32(flair[i, j, k]) / high * 2 - 1]
        assert image[:, z, y, x].tolist() == pytest.approx(expected, abs=1e-5)
    assert inside == 6 * 20 * 24
    share = [(t1[:, :, z] > t1.mean()).sum() / 24**2 for z in range(6)]
    assert made["foreground"][0].tolist() == pytest.approx(share, abs=1e-6)


def test_what_is_not_labelled_is_unknown(item):
    files, _ = item
    chain = sample_slices(CHANNELS, 24)
    no_label = {k: v for k, v in files.items() if k != "label"}
    rows = chain(no_label)["label"][0, 0, :, 0]
    assert (rows[2:-2] == UNKNOWN).all()
    assert rows[0] == 0
    assert chain(files | {"known": ["oedema"]})["known"].tolist() == [False, True]


def test_a_label_on_another_grid_is_moved_by_millimetres(item, tmp_path):
    files, (_, _, label) = item
    shifted = RAS.copy()
    shifted[0, 3] = 2  # begins two voxels later
    nib.save(nib.Nifti1Image(label[2:].astype(np.uint8), shifted), tmp_path / "part.nii.gz")
    chain = sample_slices(CHANNELS, 24)
    assert torch.equal(chain(files | {"label": str(tmp_path / "part.nii.gz")})["label"], chain(files)["label"])
    far = RAS.copy()
    far[2, 3] = 500
    nib.save(nib.Nifti1Image(label, far), tmp_path / "far.nii.gz")
    assert "far.nii.gz: it covers less than half" in refused(chain, files | {"label": str(tmp_path / "far.nii.gz")})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": {"t1": "t1.nii.gz"}}, "case: it has no flair; it has t1"),
        ({"image": ["t1.nii.gz"]}, "it has 1 images, expected 2: t1, flair"),
    ],
)
def test_missing_images_are_named(item, change, message):
    assert message in refused(sample_slices(CHANNELS, 24), item[0] | change)


def test_an_image_given_as_label_is_refused(item):
    files, _ = item
    said = refused(sample_slices(CHANNELS, 24), files | {"label": files["image"]["t1"]})
    assert "taken for a label map, but it holds" in said
    assert "expected whole numbers" in said


def test_majority_is_the_class_that_fills_most():
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 3, (1, 2, 4, 4))
    fine = torch.from_numpy(blocks.repeat(3, 2).repeat(3, 3)).to(torch.uint8)
    fine[0, 0, 1, 1] = 2  # one of nine pixels
    assert torch.equal(majority(fine, (4, 4)), torch.from_numpy(blocks).to(torch.uint8))
    line = torch.tensor([[[[0, 0, 0, 4, 4, 4]]]], dtype=torch.uint8).expand(1, 1, 6, 6)
    assert set(majority(line, (5, 5)).unique().tolist()) == {0, 4}  # no class in between


def test_the_chain_has_a_digest_that_tells_channels_apart():
    one = chain_digest(sample_slices(CHANNELS, 24))
    assert one == chain_digest(sample_slices(Channels({"t1": 99.5, "flair": 100}, {"core": 1, "oedema": [2, 4]}), 24))
    assert one != chain_digest(sample_slices(Channels({"t1": 99.5, "flair": 100}, {"core": 1, "oedema": 2}), 24))
    assert one != chain_digest(sample_slices(Channels({"flair": 100, "t1": 99.5}, {"core": 1, "oedema": [2, 4]}), 24))
    assert one != chain_digest(sample_slices(CHANNELS, 32))
