"""Files of weights: read whole from wherever they come, and told apart from what only looks like them."""

import io
import os
import zipfile
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tools.torch_files import read_state_dict, read_torch_file


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


STATE = network().state_dict()


def saved(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def of_wrapped(wrap):
    copy = network()
    copy.load_state_dict(STATE)
    return wrap(copy).state_dict()


PREFIXED = {f"module.{key}": value for key, value in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"model": STATE},
        {"state_dict": PREFIXED, "optimizer": {"state": {}}, "epoch": 3},
        {"model": {"state_dict": STATE}},
        of_wrapped(nn.DataParallel),
        of_wrapped(AveragedModel),
        of_wrapped(torch.compile),
        of_wrapped(lambda net: AveragedModel(nn.DataParallel(torch.compile(net)))),
    ],
    ids=["plain", "model", "published", "twice", "data parallel", "average", "compiled", "all"],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_in_all_their_clothes(tmp_path, content, legacy):
    (tmp_path / "a.pt").write_bytes(saved(content, _use_new_zipfile_serialization=not legacy))
    state = read_state_dict(tmp_path / "a.pt")
    assert list(state) == list(STATE)
    assert all(torch.equal(state[key], value) for key, value in STATE.items())
    network().load_state_dict(state)


def test_names_that_begin_like_a_wrapper_by_chance_stay():
    state = {"module.weight": torch.ones(2), "bias": torch.ones(2)}
    assert list(read_state_dict(io.BytesIO(saved(state)))) == list(state)


class Trap:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def script():
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), stream)
    return stream.getvalue()


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("bundle/configs/inference.json", "{}")
    return stream.getvalue()


WHOLE = saved(STATE)
SAFETENSORS = b'\x40\x00\x00\x00\x00\x00\x00\x00{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS.*git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>too many downloads</body></html>", "a web page"),
        (b'{"error": "quota"}', "JSON"),
        (SAFETENSORS, "safetensors.*Convert"),
        (b"\x1f\x8b\x08\x00abc", "compressed archive. Unpack"),
        (zipped(), "ZIP archive of other files.*unpack"),
        (script(), "TorchScript program.*model.pt"),
        (WHOLE[:1500], "it was cut off"),
        (WHOLE[: len(WHOLE) // 2], "it was cut off"),
        (WHOLE[:-1], "it was cut off"),
        (saved(STATE, _use_new_zipfile_serialization=False)[:-9], "damaged"),
        (bytes(5000), "begins with b'.x00"),
        (b"hello world", "begins with b'hello world'"),
        (saved(network()), "more than tensors.*Sequential"),
        (saved({"a": np.ones(2)}), "more than tensors"),
    ],
)
def test_what_is_no_file_of_weights_is_called_by_its_name(tmp_path, content, message):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    for read in (read_torch_file, read_state_dict):
        with pytest.raises(ValueError, match=rf"(?s)a\.pt is not a file of weights.*{message}") as error:
            read(path)
        assert "weights_only" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 7, "networks": {"g": STATE}, "optimizers": {}, "ema": None}, r"epoch 7\): --resume.*model\.pt"),
        ({"generators": STATE, "step": 3}, "no state dictionary.*'generators', 'step'"),
        ({}, "a dictionary with nothing"),
        ({0: torch.zeros(1)}, "no state dictionary"),
        (torch.zeros(3), "a Tensor"),
        ({"n_averaged": torch.tensor(3)}, None),
    ],
)
def test_what_torch_wrote_but_is_no_state_dict(tmp_path, content, message):
    path = tmp_path / "a.pt"
    torch.save(content, path)
    if message is None:
        assert list(read_state_dict(path)) == ["n_averaged"]
    else:
        with pytest.raises(ValueError, match=rf"(?s)a\.pt.*{message}"):
            read_state_dict(path)


def test_a_flipped_bit_anywhere_in_the_weights_is_seen(tmp_path):
    """torch.load reads such a file without a word."""
    start = WHOLE.index(STATE["0.weight"].numpy().tobytes())
    for place in (start, start + 17, start + 47):
        damaged = bytearray(WHOLE)
        damaged[place] ^= 0x10
        assert list(torch.load(io.BytesIO(damaged), weights_only=True)) == list(STATE)
        with pytest.raises(ValueError, match="does not match its checksum"):
            read_torch_file(io.BytesIO(damaged))


def test_code_is_not_run(tmp_path):
    for legacy in (False, True):
        content = saved({"w": Trap(tmp_path / "sprung")}, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ValueError, match=r"it holds more than tensors.*mkdir.*could run code"):
            read_torch_file(io.BytesIO(content))
    assert not (tmp_path / "sprung").exists()


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="is a folder"):
        read_torch_file(tmp_path)


def test_what_torch_keeps_beside_the_tensors_stays():
    state = deepcopy(STATE)
    state._metadata[""]["settings"] = {"image_size": 32}
    read = read_state_dict(io.BytesIO(saved({"model": state})))
    assert read._metadata[""]["settings"] == {"image_size": 32}
    assert read._metadata["1"] == {"version": 2}
