import json
import re
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.real import REAL, needs_real
from tools.data.found import find
from tools.inspect_data.command import inspect_data
from tools.inspect_data.measure import measured
from tools.io.dicom_writer import write_dicom_series

AFFINE = np.diag([-1.0, -2, 3, 1])


def write(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels.astype(np.int16), AFFINE), path)


def looked(folder, output, **options):
    inspect_data(str(folder), str(output), **options)
    return json.loads((output / "data.json").read_text()), (output / "data.html").read_text()


@pytest.fixture
def decathlon(tmp_path):
    """Five cases; a tumour of 8 voxels of 6 cubic mm in two of them; one image cut short, one 1000 times as bright."""
    root = tmp_path / "Task99"
    for case in range(5):
        rng = np.random.default_rng(case)
        image, label = rng.integers(1, 30, (8, 10, 6)), np.zeros((8, 10, 6))
        label[2:4, 4:6, 1:3] = case < 2
        write(root / "imagesTr" / f"case_{case}.nii.gz", image * (1000 if case == 1 else 1))
        write(root / "labelsTr" / f"case_{case}.nii.gz", label)
    cut = root / "imagesTr" / "case_4.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-40])
    said = {"name": "T", "modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Tumour"}}
    (root / "dataset.json").write_text(json.dumps(said))
    return root


def test_what_is_there_is_said(decathlon, tmp_path, capsys):
    facts, page = looked(decathlon, tmp_path / "out", store_dir=str(tmp_path / "store"), image_size=16)
    assert facts["recognised_as"].startswith("T: ")
    assert (facts["cases"], facts["patients"], facts["labelled"], facts["read"]) == (4, 4, 4, 4)
    assert facts["shape"]["median"] == [8, 10, 6]
    assert facts["spacing_mm"]["most_frequent"] == [1, 2, 3]
    assert facts["labels_ml"]["tumour"] == {
        "cases_with_it": 2,
        "cases_labelled": 4,
        **dict.fromkeys(["least", "median", "greatest"], 0.048),
    }
    assert list(facts["left_out"]) == ["case_4"]
    assert "truncated" in facts["left_out"]["case_4"]
    assert facts["intensities"]["mri"]["scans_99.5"]["greatest"] > 20_000
    assert any("fold between scans" in remark for remark in facts["remarks"])
    assert facts["store"]["slices"] == 24
    assert page.count("<figure><img") == 4
    assert "case_4: case_4.nii.gz is truncated" in page
    assert "#ff4040" in page or "rgb(255, 64, 64)" in page
    assert not re.search(r"(src|href)=.(?!data:|#)", page)  # it needs no other file
    assert "tumour: in 2 of 4 cases, 0.048 ml\n" in capsys.readouterr().out


def test_volumes_under_any_names(tmp_path):
    image = np.random.default_rng(0).integers(0, 90, (6, 7, 5))
    label = np.zeros(image.shape)
    label[1, 1, 1], label[2, 2, 2] = 4, 9
    write(tmp_path / "mine" / "john_t1.nii.gz", image)
    write(tmp_path / "mine" / "john_seg.nii.gz", label)
    write(tmp_path / "mine" / "jane_t1.nii.gz", image)
    facts, _ = looked(tmp_path / "mine", tmp_path / "out")
    assert (facts["cases"], facts["labelled"]) == (2, 1)
    assert list(facts["labels_ml"]) == ["label 4", "label 9"]


def test_ct_and_mr_of_one_set_have_scales_of_their_own(tmp_path, capsys):
    """CT beyond the window is cut, MR of any unit is not; both go into the store."""
    for name, voxels in (("amos_0001", np.full((8, 8, 3), 300)), ("amos_0002", np.full((8, 8, 3), 300))):
        voxels[:4] = -200
        write(tmp_path / "amos" / "imagesTr" / f"{name}.nii.gz", voxels)
    mr = np.random.default_rng(0).integers(1, 9000, (8, 8, 4))
    write(tmp_path / "amos" / "imagesTr" / "amos_0501.nii.gz", mr)
    write(tmp_path / "amos" / "labelsTr" / "amos_0501.nii.gz", np.full(mr.shape, 6))
    facts, _ = looked(tmp_path / "amos", tmp_path / "out", store_dir=str(tmp_path / "store"), image_size=8)
    assert facts["images"] == {"ct": 2, "mr": 1}
    assert facts["store"]["slices_of"] == {"ct": 6, "mr": 4}
    assert facts["store"]["channels"]["mr"][:2] == ["mr", "spleen"]
    scale = {path.name[:9]: json.loads(path.read_text())["scale"] for path in (tmp_path / "store").glob("*.json")}
    assert scale["amos_0001"] == [[-200, 300]]
    assert scale["amos_0501"] == [[0, pytest.approx(np.percentile(mr[mr > mr.mean()], 99.5))]]
    assert facts["labels_ml"]["liver"]["cases_labelled"] == 1
    said = capsys.readouterr().out
    assert "liver: in 1 of 1 case, 1.54 ml" in said  # 256 voxels of 6 cubic mm
    assert "3 cases of 3 patients" in said


def test_findings_are_counted_in_scans_and_slices(tmp_path, capsys):
    kinds = ("Intraventricular", "Intraparenchymal", "Subarachnoid", "Epidural", "Subdural")
    rows = [",".join(("PatientNumber", "SliceNumber", *kinds))]
    for scan, slices_with in ((49, (2, 3)), (50, ()), (51, (1,))):
        write(tmp_path / "ich" / "ct_scans" / f"{scan:03d}.nii", np.ones((6, 6, 1)) * [0, 30, 60, 90])
        rows += [
            f"{scan},{n}," + ",".join(str(int(k == "Subdural" and n in slices_with)) for k in kinds)
            for n in range(1, 5)
        ]
    (tmp_path / "ich" / "hemorrhage_diagnosis_raw_ct.csv").write_text("\n".join(rows))
    facts, page = looked(tmp_path / "ich", tmp_path / "out", store_dir=str(tmp_path / "store"), image_size=8)
    assert facts["findings"]["subdural"] == {"cases_with_it": 2, "cases_said": 3, "slices_with_it": 3}
    assert facts["findings"]["epidural"] == {"cases_with_it": 0, "cases_said": 3, "slices_with_it": 0}
    assert "<td>subdural</td><td>2</td><td>3</td><td>3</td>" in page
    assert "<figcaption>051: subdural</figcaption>" in page
    assert "<figcaption>050</figcaption>" in page
    said = capsys.readouterr().out
    assert "subdural: in 2 of 3 scans, 3 slices" in said
    assert "No case that was read shows any of: epidural, intraparenchymal, intraventricular, subarachnoid." in said
    shown = [int(case.picture.max()) for case in measured(find(tmp_path / "ich"), 3)]
    brightness = [round((hu + 20) / 120 * 255) for hu in (60, 60, 0)]  # the third slice, the middle one, the first
    assert shown == pytest.approx(brightness, abs=1)
    again, _ = looked(tmp_path / "ich", tmp_path / "out", store_dir=str(tmp_path / "store"), image_size=8)
    assert facts["store"]["made_per_second"] > 0
    assert again["store"]["made_per_second"] is None  # nothing was made


def test_pictures(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        grey = np.full((8, 8), 80 * number, np.uint8)
        grey[0] = 255
        Image.fromarray(grey).save(tmp_path / "pictures" / f"{number}.png")
    facts, page = looked(tmp_path / "pictures", tmp_path / "out", store_dir=str(tmp_path / "store"), image_size=32)
    assert facts["recognised_as"].startswith("3 pictures")
    assert "\n3 pictures\nSize 8 x 8 x 3 pixels and pictures together\n" in capsys.readouterr().out
    assert facts["patients"] is None
    assert facts["store"]["slices"] == 3
    assert "<figure><img" in page


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        inspect_data(str(tmp_path / "none"), str(tmp_path / "out"))
    with pytest.raises(ValueError, match="--most is 0"):
        inspect_data(str(tmp_path), str(tmp_path / "out"), most=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        inspect_data(str(tmp_path / "empty"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@needs_real
def test_a_real_set(tmp_path):
    part = tmp_path / "hippocampus"
    for folder in ("imagesTr", "labelsTr"):
        (part / folder).mkdir(parents=True)
        for path in sorted((REAL / "hippocampus" / folder).iterdir())[:3]:
            shutil.copy(path, part / folder)
    facts, _ = looked(part, tmp_path / "out")
    assert facts["recognised_as"].startswith("hippocampus: ")
    assert facts["labels_ml"]["anterior"]["cases_with_it"] == 3
    assert 1 < facts["labels_ml"]["anterior"]["median"] < 3


def test_slices_that_make_no_volume_are_read_one_by_one(tmp_path):
    """Of four slices the last is moved by 3 mm, as where the distance changes within a scan."""
    voxels = np.arange(8 * 8 * 4).reshape(8, 8, 4, order="F").astype(np.int16)
    series = write_dicom_series(tmp_path / "mine" / "head", voxels, np.diag([-1.0, -1, 5, 1]), "CT")
    last = max(series.glob("*.dcm"), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
    moved = pydicom.dcmread(last)
    moved.ImagePositionPatient[2] += 3
    moved.save_as(last)
    facts, _ = looked(tmp_path / "mine", tmp_path / "out", store_dir=str(tmp_path / "store"), image_size=8)
    assert (facts["cases"], facts["read"], facts["store"]["slices"]) == (1, 1, 4)
    assert "slice by slice" in facts["recognised_as"]
    assert facts["intensities"]["image"]["percentiles"]["100"] == 255


def test_without_a_usable_case_the_page_says_why(decathlon, tmp_path):
    for case in range(4):
        (decathlon / "imagesTr" / f"case_{case}.nii.gz").unlink()
    facts, page = looked(decathlon, tmp_path / "out", store_dir=str(tmp_path / "store"))
    assert (facts["cases"], [*facts["left_out"]]) == (0, ["case_4"])
    assert "store" not in facts
    assert "There is no store: none of 1 volumes can be used" in page
