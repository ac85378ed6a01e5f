import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.transforms import Compose

from tests.data.scans import SIZE, prepare, write_ct
from tests.real import REAL, needs_real
from tools.data.cubes import Cubes
from tools.data.preprocessed import preprocessed_info
from tools.data.provenance import data_provenance
from tools.data.volumes import section_datalist
from tools.transforms.mr import t1_preprocessing
from tools.transforms.spatial import load_volume


def test_t1_gives_the_same_tensors_as_from_the_original(heads, tmp_path, capsys):
    prepare(heads, tmp_path / "out", kind="t1")
    assert "4 volumes of 16 voxels" in capsys.readouterr().out
    for section in ("training", "validation"):
        items = section_datalist("gsp", heads, section), section_datalist("gsp", tmp_path / "out", section)
        assert [i["id"] for i in items[0]] == [i["id"] for i in items[1]]
        for a, b in zip(*items, strict=True):
            original = Cubes("t1", heads, SIZE).transform(a)["image"]
            ready = Cubes("t1", tmp_path / "out", SIZE).transform(b)["image"]
            assert torch.equal(original, ready)
            assert type(ready) is torch.Tensor
            assert (ready.shape, ready.dtype, ready.is_contiguous()) == ((1, SIZE, SIZE, SIZE), torch.float32, True)
            assert (ready.min(), ready.max() <= 1) == (-1, True)
            assert ready.max() > 0.5
            expected = t1_preprocessing(SIZE)({"image": a["image"]})["image"]
            found = Compose(load_volume())({"image": b["image"]})["image"]
            torch.testing.assert_close(found.affine, expected.affine, atol=1e-4, rtol=0)


def test_a_window_holds_in_training_too(heads, tmp_path):
    """From originals and from copies; the intensities are those of the whole range, cut at the window's ends."""
    prepare(heads, tmp_path / "out", kind="t1")
    for folder in (heads, tmp_path / "out"):
        item = section_datalist("gsp", folder, "training")[0]
        whole = (Cubes("t1", folder, SIZE).transform(item)["image"] + 1) * 500
        found = Cubes("t1", folder, SIZE, [200, 600]).transform(item)["image"]
        torch.testing.assert_close(found, ((whole - 200) / 200 - 1).clamp(-1, 1), atol=1e-5, rtol=0)
        assert (found.min(), found.max()) == (-1, 1)
    for window in ([600, 200], [1000, 1200], [-5, 0]):
        with pytest.raises(ValueError, match="expected its lower and upper end within 0 to 1000"):
            Cubes("t1", heads, SIZE, window)


def test_t1_manifest_continuation_and_provenance(heads, tmp_path, quick_workers):
    output = tmp_path / "out"
    prepare(heads, output, kind="t1")
    info = preprocessed_info(output)
    assert (info["kind"], info["image_size"], info["complete"], "window" in info) == ("t1", SIZE, True, False)
    assert info["phantom"]["anatomy"] == "brain"
    assert (output / "labels.csv").read_bytes() == (heads / "labels.csv").read_bytes()
    volume = info["volumes"]["Sub0001_Ses1_Scan_01_ANAT1"]
    assert volume["image"] == "Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1.nii"
    assert volume["white"] > 100
    np.testing.assert_allclose(volume["field_of_view_mm"], volume["field_of_view_mm"][0], rtol=0.03)
    times = [f.stat().st_mtime_ns for f in sorted(output.rglob("*.nii"))]
    prepare(heads, output, kind="t1")
    assert [f.stat().st_mtime_ns for f in sorted(output.rglob("*.nii"))] == times
    prepare(heads, tmp_path / "two", kind="t1", workers=2)
    one, two = (sorted((tmp_path / n).rglob("*.nii")) for n in ("out", "two"))
    assert [f.read_bytes() for f in one] == [f.read_bytes() for f in two]
    provenance = data_provenance(output, section_datalist("gsp", output, "training"))
    assert provenance["preprocessed"] == {"kind": "t1", "image_size": SIZE, "digest": info["digest"]}
    item = {"image": section_datalist("gsp", heads, "training")[0]["image"], "id": "Sub0001_Ses1_Scan_01_ANAT1"}
    assert data_provenance(tmp_path, [item])["kind"] == "gsp"


def test_kinds_are_not_mixed_up(dataset, heads, tmp_path):
    prepare(dataset, tmp_path / "ct")
    prepare(heads, tmp_path / "t1", kind="t1")
    with pytest.raises(ValueError, match=r"as ct with image_size 16 and window .*; asked for is t1 .*--kind t1"):
        Cubes("t1", tmp_path / "ct", SIZE)
    with pytest.raises(ValueError, match=r"as t1 with image_size 16; asked for is ct .*--kind ct .*--window"):
        Cubes("ct", tmp_path / "t1", SIZE)
    with pytest.raises(ValueError, match=r"as t1 with image_size 16; asked for is t1 with image_size 8"):
        prepare(heads, tmp_path / "t1", kind="t1", image_size=8)
    with pytest.raises(ValueError, match=r"as t1 with image_size 16; asked for is ct"):
        prepare(heads, tmp_path / "t1")
    with pytest.raises(ValueError, match="kind is 'mr', expected 'ct' or 't1'"):
        prepare(heads, tmp_path / "out", kind="mr")
    with pytest.raises(ValueError, match="T1 has no window"):
        prepare(heads, tmp_path / "out", kind="t1", window=(0, 100))


def test_bad_t1_volumes_are_left_out(heads, tmp_path):
    root = tmp_path / "gsp"
    shutil.copytree(heads, root)
    # what only the whole volume shows: a constant one, and a CT among them
    sitk.WriteImage(sitk.Image(8, 9, 10, sitk.sitkInt16) + 3, str(root / "flat.nii"))
    write_ct(root / "ct.nii.gz")
    prepare(root, tmp_path / "out", kind="t1")
    info = preprocessed_info(tmp_path / "out")
    assert len(info["volumes"]) == 4
    assert info["bad"]["flat.nii"] == "all of its voxels have the value 3"
    assert "expected a magnitude image" in info["bad"]["ct.nii.gz"]


@needs_real
def test_real_heads(tmp_path):
    folder = REAL / "brain_t1"
    prepare(folder, tmp_path / "out", image_size=32, kind="t1")
    with pytest.warns(UserWarning, match="uses the training volumes"):
        raw, ready = (section_datalist("gsp", f, "validation") for f in (folder, tmp_path / "out"))
    assert len(raw) == len(ready) == 2
    for a, b in zip(raw, ready, strict=True):
        a, b = Cubes("t1", folder, 32).transform(a)["image"], Cubes("t1", tmp_path / "out", 32).transform(b)["image"]
        assert torch.equal(a, b)
