"""Reads volumes that were kept as NumPy arrays."""

from __future__ import annotations

import numpy as np
from monai.config import PathLike

from tools.io.volume import VolumeError, check_memory


def read_array(path: PathLike) -> np.ndarray:
    """[D, H, W] of a .npy file, float32; a channel of one is dropped.

    Raises:
        VolumeError: the file is no such file, is shorter than it says, or holds something else than real numbers.
    """
    array = _mapped(path)
    check_memory(path, 4 * array.size)
    return np.array(array, np.float32, order="C")


def array_shape(path: PathLike) -> tuple[int, int, int]:
    """The shape of `read_array`, without reading the numbers; with its errors."""
    return _mapped(path).shape


def _mapped(path: PathLike) -> np.ndarray:
    """[D, H, W] as it is stored."""
    try:
        # mapped, which compares the file's length with its header before memory is asked for; and no pickles
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # what NumPy raises on damaged headers is of many kinds
        raise VolumeError.of(path, f"it is no .npy file of numbers that NumPy can read ({str(error)[:150]})") from error
    if not isinstance(array, np.ndarray):
        raise VolumeError.of(path, "it holds several arrays (.npz); expected one (.npy)")
    if array.dtype.kind not in "biuf":
        raise VolumeError.of(path, f"its values are of type {array.dtype}; expected real numbers")
    shape = array.shape
    if len(shape) == 4 and shape[0] == 1:
        array = array[0]
    if array.ndim != 3 or not array.size:
        hint = "; put the slices of a volume into one array" if array.ndim == 2 else ""
        raise VolumeError.of(path, f"it has shape {shape}, expected [D, H, W] or [1, D, H, W]{hint}")
    return array
