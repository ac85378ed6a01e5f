"""Pickles and machine code in a bundle: each is shown to run, and is known by its content."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import warnings
import zlib
from contextlib import suppress

import joblib
import numpy as np
import pytest
import torch
from monai.transforms import LoadImage

from tests.share.attacks import Payload, numpy_file, ran, torch_file, written
from tests.share.test_archive import bundle_files
from tools.__main__ import main
from tools.share.archive import ArchiveError, check_archive, write_archive


def compressed_joblib(method):
    stream = io.BytesIO()
    joblib.dump([Payload()], stream, compress=(method, 3))
    return stream.getvalue()


MEMO = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x8c\x05torch\x8c\x04Size00\x93\x8c\x0btouch pwned\x85R."
"""The two names on top of the stack are not the two that were written last."""

PICKLES = {
    **{f"protocol {n}": (pickle.dumps([1, Payload()], protocol=n), pickle.loads) for n in range(6)},
    "by hand": (b"cos\nsystem\n(S'touch pwned'\ntR.", pickle.loads),
    "by hand, the oldest": (b"(S'touch pwned'\nios\nsystem\n.", pickle.loads),
    "not ended": (b"cos\nsystem\n(S'touch pwned'\ntR\xff\xff", pickle.loads),
    "after a pop": (MEMO, pickle.loads),
    "the second of two": (
        pickle.dumps(1) + pickle.dumps(Payload()),
        lambda c: [pickle.load(s) for s in [io.BytesIO(c)] * 2],
    ),
    "an array of objects": (numpy_file(np.array([Payload()])), lambda c: np.load(io.BytesIO(c), allow_pickle=True)),
    "arrays of objects": (
        numpy_file(np.array([Payload()]), np.savez),
        lambda c: list(np.load(io.BytesIO(c), allow_pickle=True).values()),
    ),
    "torch": (torch_file({"a": Payload()}), lambda c: torch.load(io.BytesIO(c), weights_only=False)),
    "old torch": (
        torch_file({"a": Payload()}, _use_new_zipfile_serialization=False),
        lambda c: torch.load(io.BytesIO(c), weights_only=False),
    ),
    **{
        f"joblib {m}": (compressed_joblib(m), lambda c: joblib.load(io.BytesIO(c)))
        for m in ("zlib", "gzip", "bz2", "lzma", "xz")
    },
    "gzip in gzip": (
        gzip.compress(gzip.compress(pickle.dumps(Payload()))),
        lambda c: pickle.loads(gzip.decompress(gzip.decompress(c))),
    ),
}


@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.filterwarnings("ignore")
def test_pickles_are_known_by_their_content(stranger, tmp_path, name):
    content, load = PICKLES[name]
    with suppress(pickle.UnpicklingError, EOFError):
        load(content)
    assert ran(stranger)
    for path in ("docs/picture.png", "models/model.ts", "data", "weights.bin"):
        write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{path: content}))
        with pytest.raises(ArchiveError, match=f"toy/{path} can hold pickled or compiled code"):
            check_archive(tmp_path / "toy.zip")
    assert not ran(stranger)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": [1.0, "text"]}),
        numpy_file(np.zeros(3)),
        numpy_file(np.zeros(3), np.savez),
        torch_file({"a": torch.zeros(3), "b": torch.nn.Parameter(torch.zeros(2))}),
        torch_file({"a": torch.zeros(3)}, _use_new_zipfile_serialization=False),
        gzip.compress(b"text"),
        bz2.compress(b"text"),
        zlib.compress(b"text"),
        lzma.compress(b"text"),
        b"cupy\ncachetools\nRequests\n.",
        b"citation\nSmith (2020)\n",
        b"x\x9c no zlib",
        b"PK no ZIP",
        b"",
    ],
)
def test_what_holds_no_code_passes(tmp_path, content):
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{"docs/data": content}))
    assert check_archive(tmp_path / "toy.zip") == "toy"


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01", b"MZ" + bytes(100) + b"PE\0\0", b"\xcf\xfa\xed\xfe\x07"])
def test_machine_code_is_known_by_its_content(tmp_path, content):
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{"docs/data.txt": content}))
    with pytest.raises(ArchiveError, match="it is machine code of"):
        check_archive(tmp_path / "toy.zip")


def test_pickles_of_an_unpacked_bundle_are_listed(stranger, capsys):
    """As MONAI's reader of NumPy files loads them, where a config asks for it."""
    written(
        stranger, {"data/volume.npy": numpy_file(np.array([Payload()])), "models/model.pt": torch_file([Payload()])}
    )
    config = {"load": {"_target_": "LoadImage", "reader": "NumpyReader", "allow_pickle": True}}
    written(stranger, {"configs/inference.json": json.dumps(config)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LoadImage(reader="NumpyReader", allow_pickle=True)("data/volume.npy")
    assert ran(stranger)
    main(["inspect", str(stranger)])
    shown = capsys.readouterr().out
    assert not ran(stranger)
    assert "! data/volume.npy: an array of Python objects, which is a pickle" in shown
    assert (
        "! models/model.pt: archive/data.pkl in it is a pickle that imports posix.system, and no weights alone" in shown
    )
    assert "! inference.json load#allow_pickle: True" in shown
