"""A dataset in two folders of its own layout, by patients."""

import json

import nibabel as nib
import numpy as np
import pytest

from tools.__main__ import main
from tools.data.cases import case_datalist, recognise
from tools.datasets.splitting import is_held_out


@pytest.fixture
def hippocampus(tmp_path):
    root = tmp_path / "Task04"
    for number in range(1, 13):
        for folder in ("imagesTr", "labelsTr"):
            (root / folder).mkdir(parents=True, exist_ok=True)
            voxels = np.full((4, 4, 4), number, np.int16)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), root / folder / f"hippocampus_{number:03d}.nii.gz")
    listed = [{"image": f"./imagesTr/hippocampus_{n:03d}.nii.gz", "label": f"./labelsTr/hippocampus_{n:03d}.nii.gz"}
              for n in range(1, 13)]  # fmt: skip
    labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
    said = {"modality": {"0": "MRI"}, "labels": labels, "numTraining": 12, "training": listed}
    (root / "dataset.json").write_text(json.dumps(said))
    return root


@pytest.mark.parametrize("copy", [False, True])
def test_each_patient_is_on_the_side_of_its_hash(hippocampus, tmp_path, copy, capsys):
    main(["split", str(hippocampus), f"--output_dir={tmp_path / 'out'}", "--one_in=3", f"--copy={copy}"])
    names = [f"hippocampus_{n:03d}" for n in range(1, 13)]
    expected = {
        "training": [name for name in names if not is_held_out(name, 3)],
        "test": [name for name in names if is_held_out(name, 3)],
    }
    for part, cases in expected.items():
        folder = tmp_path / "out" / part
        assert sorted(path.name[:15] for path in (folder / "labelsTr").iterdir()) == cases
        files = list((folder / "imagesTr").iterdir())
        assert [path.is_symlink() for path in files] == [not copy] * len(cases)
        listing = json.loads((folder / "dataset.json").read_text())
        assert [one["image"][11:26] for one in listing["training"]] == cases
        assert listing["numTraining"] == len(cases)
    assert f"{len(expected['test'])} cases of {len(expected['test'])} patients are in" in capsys.readouterr().out
    found = case_datalist(recognise(tmp_path / "out/training"), tmp_path / "out/training", "training", labelled=True)
    assert {item["id"] for item in found} <= set(expected["training"])


def test_what_cannot_be_split_is_refused(hippocampus, tmp_path):
    with pytest.raises(SystemExit, match="one_in is 1, expected a whole number from 2"):
        main(["split", str(hippocampus), f"--output_dir={tmp_path / 'out'}", "--one_in=1"])
    with pytest.raises(SystemExit, match="is there already"):
        main(["split", str(hippocampus), f"--output_dir={tmp_path}"])
    with pytest.raises(SystemExit, match="expected some in both"):
        main(["split", str(hippocampus), f"--output_dir={tmp_path / 'out'}", "--one_in=1000"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "odd").mkdir()
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4)), np.eye(4)), tmp_path / "odd" / "x.nii")
    with pytest.raises(SystemExit, match="only of these it is known whose images are whose"):
        main(["split", str(tmp_path / "odd"), f"--output_dir={tmp_path / 'out'}"])
