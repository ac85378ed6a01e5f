"""MONAI's own clients find a packed bundle from any working folder, and need no `bundle_root`."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tests.share.helpers import packed, untrained
from tests.tiny import REPOSITORY, tiny
from tools.share import pack, zoo
from tools.share.archive import unpack
from tools.share.index import model_info
from tools.share.inspection import inspect


@pytest.fixture(scope="module", params=["crf_gan_luna16", "cyclegan_mri2ct_inphase"])
def unpacked(request, machine, tmp_path_factory):
    """The folder of a packed bundle."""
    folder = tmp_path_factory.mktemp(request.param)
    archive = packed(machine, request.param, output_dir=folder, trained=untrained(request.param, folder / "run"))
    return unpack(archive, folder / "unpacked")


@pytest.mark.parametrize("unpacked", ["cyclegan_mri2ct_inphase"], indirect=True, scope="module")
def test_a_translation_runs_in_monai_deploy(unpacked, machine, tmp_path):
    """The CT lies as the MR in memory does: what inference makes of the MR's file."""
    rng = np.random.default_rng(0)
    array = ndimage.gaussian_filter(rng.normal(size=(6, 40, 30)), 1) * 1000 + 500  # [D, H, W]
    affine = np.diag([-3.0, -3.0, 6.0, 1.0])
    affine[:3, 3] = 40, 60, -10
    np.savez(tmp_path / "image.npz", array=array.astype(np.int16), affine=affine)
    (tmp_path / "model").mkdir()
    shutil.copy(unpacked / "models" / "model.ts", tmp_path / "model" / "model.ts")
    arguments = [tmp_path / "model" / "model.ts", unpacked, tmp_path / "image.npz", tmp_path / "result.npz"]
    used = machine.run(str(Path(__file__).with_name("deploy.py")), arguments, tmp_path)
    assert Path(used).parent == unpacked / "tools"
    (tmp_path / "mr").mkdir()
    nib.save(nib.Nifti1Image(np.swapaxes(array.astype(np.int16), 0, 2), affine), tmp_path / "mr" / "a_in_phase.nii.gz")
    where = ["--config_file", unpacked / "configs" / "inference.json", "--dataset_dir", tmp_path / "mr"]
    machine.bundle("run", *where, "--output_dir", tmp_path / "out", folder=tmp_path)
    (path,) = (tmp_path / "out").glob("*.nii.gz")
    expected = np.asarray(nib.load(path).dataobj)
    with np.load(tmp_path / "result.npz") as content:
        made = np.swapaxes(content["array"], 0, 2)
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() <= 1
    assert np.ptp(expected) > 10


def test_load_and_federated_rounds(unpacked, machine, tmp_path):
    """Another `tools` lies in the working folder, and the bundle's folder is not told."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("raise ImportError('another program')\n")
    packed = json.loads((unpacked / "models" / "model.json").read_text())
    small = {key: value for key, value in tiny(unpacked.name, ".").items() if key not in packed}
    overrides = {key: value for key, value in small.items() if key not in ("bundle_root", "max_epochs")} | {
        "resamples": 10
    }
    overrides["batch_size"] = packed["batch_size"]
    client = Path(__file__).with_name("client.py")
    used = machine.run(str(client), [unpacked, tmp_path / "result.json", json.dumps(overrides)], tmp_path)
    assert Path(used).parent == unpacked / "tools"
    result = json.loads((tmp_path / "result.json").read_text())
    # the network of 32 voxels that was packed, not the one of 64 that `train.json` has in the repository
    assert result["loaded"] == {"train": True, "inference": True}
    assert result["fits"]
    assert [item["changed"] for item in result["rounds"]] == [True, True]
    assert [item["statistics"]["current_epoch"] for item in result["rounds"]] == [1, 2]
    # what is evaluated comes from the server, not from `models/model.pt`
    assert result["from_the_server"]
    # the second round goes on, and sets nothing aside: only the packed weights were
    assert result["earlier"] == 1
    (fid,) = [value for key, value in result["metrics"].items() if key.endswith("/fid")]
    assert fid > 0
    assert (unpacked / "eval" / "report.json").is_file()


def phantom_bundle(folder):
    """A bundle without a network, which writes phantoms; it is in no collection."""
    config = {
        "imports": ["$import tools.bundle_command", "$from tools.data.phantoms.luna16 import write_luna16_phantoms"],
        "bundle_root": "bundles/thorax",
        "output_dir": "$@bundle_root + '/eval'",
        "count": 2,
        "run": ["$write_luna16_phantoms(@output_dir, @count, 3, [16, 24, 24], progress=False)"],
    }
    metadata = json.loads((REPOSITORY / "bundles" / "crf_gan_luna16" / "configs" / "metadata.json").read_text())
    metadata |= {"kind": "simulate", "network_data_format": {"inputs": {}, "outputs": {}}}
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "LICENSE").write_text("licence")
    return folder


def test_a_bundle_without_weights(machine, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pack, "run_checks", lambda arguments, folder: machine.run(zoo.__file__, arguments, folder))
    bundle = phantom_bundle(tmp_path / "bundles" / "thorax")
    common = {"bundles_dir": bundle.parent, "output_dir": tmp_path / "release"}
    archive = pack.pack_bundle("thorax", **common)
    folder = unpack(archive, tmp_path / "unpacked")
    inside = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in inside if name.startswith("models/") or "torch" in name]
    assert {"tools/data/phantoms/luna16.py", "tools/data/phantoms/thorax.py", "own_tools.py"} < inside
    assert not [name for name in inside if name.startswith(("tools/engines", "tools/networks", "tools/losses"))]
    readme = (folder / "docs" / "README.md").read_text()
    assert "None: the bundle computes what it makes" in readme
    assert "fine_tune" not in readme
    assert zoo.check_files(folder) + zoo.check_keys(folder) + zoo.check_metadata(folder) == []
    (found,) = model_info(archive.parent, "https://example.org")[0]
    assert found == archive.stem
    inspect(str(archive), summary=True)
    assert f"holds thorax: {len(inside)} files" in capsys.readouterr().out
    machine.bundle("run", "--config_file", folder / "configs" / "inference.json", "--count", 3, folder=tmp_path)
    assert len(list((folder / "eval").rglob("*.mhd"))) == 3
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata | {"kind": "generate"}))
    with pytest.raises(ValueError, match="thorax cannot be packed:\n  - no weights at "):
        pack.pack_bundle("thorax", **common)
