"""One odd file never ends a training: it is found before the first step, named, and named once more at the end."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from monai.bundle import run

from tests.data.scans import write_ct
from tests.tiny import REPOSITORY, TINY, config_file
from tools.io import left_out
from tools.io.dicom_writer import write_dicom_series


def spoil(dataset):
    """A compressed volume whose header and size are good, and whose voxels are not, and a label map among images."""
    path = dataset / "subset0" / "1.2.a.mhd"
    hu = sitk.ReadImage(str(path))
    for name in ("1.2.a.mhd", "1.2.a.raw"):
        (path.parent / name).unlink()
    sitk.WriteImage(hu, str(path.parent / "spoilt.nii.gz"))
    content = bytearray((path.parent / "spoilt.nii.gz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (path.parent / "spoilt.nii.gz").write_bytes(content)
    sitk.WriteImage(sitk.Cast(hu > -500, sitk.sitkUInt8), str(path.parent / "organs.nii.gz"))


@pytest.mark.filterwarnings("ignore:.*")
def test_a_training_among_odd_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(left_out, "_kept", {})
    dataset = tmp_path / "dataset"
    good = [*(f"subset3/good{number}.nii.gz" for number in range(4)), "subset9/held.mha", "subset9/out.mha"]
    for number, name in enumerate([*good, "subset0/1.2.a.mhd"]):
        write_ct(dataset / name, seed=number)
    spoil(dataset)
    (dataset / "more").mkdir()
    hu = sitk.ReadImage(str(dataset / good[0]))
    sitk.WriteImage(hu + 1024, str(dataset / "more" / "offset.nii.gz"))
    (dataset / "labelsTr").mkdir()
    sitk.WriteImage(hu > -500, str(dataset / "labelsTr" / "d.nii.gz"))
    (dataset / "more" / "back").symlink_to(dataset)
    magnitude = np.abs(sitk.GetArrayFromImage(hu)).T
    write_dicom_series(dataset / "mr", magnitude, np.diag([1.0, 1, 2, 1]), modality="MR", rescale=(1, 0))
    sizes = {name: TINY[name] for name in ("image_size", "latent_dim", "base_channels", "discriminator_channels")}
    options = {**sizes, "batch_size": 2, "max_epochs": 1, "val_interval": 1, "num_workers": 0}
    run(
        config_file=config_file("crf_gan_luna16", "train"),
        dataset_dir=str(dataset),
        bundle_root=str(tmp_path / "bundle"),
        **options,
    )
    model = json.loads((tmp_path / "bundle" / "models" / "model.json").read_text())
    assert model["data"]["volumes"] == 4
    end = capsys.readouterr().out.partition("Left out, or looking wrong")[2]
    for name, reason in {
        "subset0/organs.nii.gz": "it is a label map",
        "subset0/spoilt.nii.gz": "its compressed data are truncated or damaged",
        "more/offset.nii.gz": "rescale intercept was lost",
        "mr": "its DICOM files say that it is MR, expected CT",
        "labelsTr": "label maps, by the name of the folder",
    }.items():
        path = f"  {dataset / name}: "
        assert any(line.startswith(path) and reason in line for line in end.splitlines()), (name, end)
