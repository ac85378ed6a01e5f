"""What a .npy file can say and not keep."""

import numpy as np
import pytest

from tools.io.array import read_array
from tools.io.volume import VolumeError, check_content

ARRAY = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)


def header(text, tmp_path):
    """A file with another header of the same length, and the same numbers."""
    np.save(tmp_path / "a.npy", ARRAY)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:10] + text.encode().ljust(117) + b"\n" + content[128:])
    return tmp_path / "a.npy"


def test_the_same_header_reads(tmp_path):
    path = header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 5), }", tmp_path)
    volume = read_array(path)
    np.testing.assert_array_equal(volume, ARRAY)
    assert type(volume) is np.ndarray
    assert volume.flags.writeable


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (999999, 999999, 999999), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 50), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -4, 5), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 5e0), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3, 4, 5), }",
        "{'descr': 'f4)(', 'fortran_order': False, 'shape': (3, 4, 5), }",
        "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
        "__import__('os').abort()",
        "\0",
    ],
)
def test_headers_that_lie(tmp_path, text):
    with pytest.raises(VolumeError, match=r"a\.npy: it"):
        read_array(header(text, tmp_path))


def test_zip_that_is_none(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(VolumeError, match=r"a\.npy: it is no \.npy file"):
        read_array(tmp_path / "a.npy")


@pytest.mark.parametrize("value", [0, 7.5, np.nan, np.inf])
def test_one_value_everywhere(value):
    with pytest.raises(VolumeError, match=r"a: it shows nothing: (NaN|one value everywhere)"):
        check_content("a", np.full((20, 30, 40), value, np.float32))
    shown = np.full((20, 30, 40), value, np.float32)
    shown[19, 29, 39] = 1
    check_content("a", shown)
