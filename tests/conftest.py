"""Settings for the whole suite: reproducible, quiet, and one thread, which is fastest for small networks."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """With `-n`, what shares fixtures stays in one process: the tests of a bundle, or of a module."""
    for item in items:
        bundle = item.callspec.params.get("bundle") if hasattr(item, "callspec") else None
        item.add_marker(pytest.mark.xdist_group(bundle or item.path.as_posix()))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
