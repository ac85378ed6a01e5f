"""MONAI's own clients find a packed bundle from any working folder, and need no `bundle_root`."""

import json
from pathlib import Path

import pytest

from tests.share.helpers import SCHEMA, untrained
from tests.tiny import tiny
from tools.share import pack, zoo
from tools.share.archive import unpack


@pytest.fixture(scope="module", params=["crf_gan_luna16", "cyclegan_mri2ct_inphase"])
def unpacked(request, machine, tmp_path_factory):
    """The folder of a packed bundle."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "run_checks", lambda arguments, folder: machine.run(zoo.__file__, arguments, folder))
        archive = pack.pack_bundle(
            request.param, output_dir=folder, trained=untrained(request.param, folder / "run"), filepath=SCHEMA
        )
    return unpack(archive, folder / "unpacked")


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
