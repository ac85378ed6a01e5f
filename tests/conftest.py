"""Settings for the whole suite: reproducible, quiet, and one thread, which is fastest for small networks."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from monai.bundle import run

from tests.tiny import BUNDLES, REPOSITORY, config_file, tiny

torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """With `-n`, what shares fixtures stays in one process: the tests of a bundle, or of a module."""
    for item in items:
        bundle = item.callspec.params.get("bundle") if hasattr(item, "callspec") else None
        item.add_marker(pytest.mark.xdist_group(bundle or item.path.as_posix()))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session", params=BUNDLES)
def bundle(request):
    """The name of every bundle in turn, in the repository's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        yield request.param


@pytest.fixture(scope="session")
def trained(bundle, tmp_path_factory):
    """A folder in which the bundle was trained for two epochs on its phantoms; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp(bundle)
    run(config_file=config_file(bundle, "train"), **tiny(bundle, folder))
    return folder
