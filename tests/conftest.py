"""Settings for the whole suite: reproducible, quiet, and one thread, which is fastest for small networks.

torch and MONAI are imported when they are needed: with `-n`, the process that hands out the tests runs none.
"""

import os

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.tiny import REPOSITORY, config_file, family, one_of_each_family, siblings, tiny


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """With `-n`, what shares fixtures stays in one process: the tests of a bundle, or of a module.

    The longest come first, so that no process is left with them when the others have ended.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_of_bundle(item) or item.path.as_posix()))
    items.sort(key=lambda item: _of_bundle(item) is None)


def _of_bundle(item):
    """The bundle or the family that a test is of, if it is of one."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    sibling = parameters.get("sibling")
    return parameters.get("bundle") or (sibling and f"siblings of {family(sibling)}")


def pytest_make_parametrize_id(val, argname):
    """Bytes are numbered: they may differ from process to process, and `-n` needs the same names in all."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _nothing_left_out(monkeypatch):
    """What is left out is kept for the whole process, of which a test is the beginning."""
    from tools.io import left_out

    monkeypatch.setattr(left_out, "_kept", {})


@pytest.fixture(autouse=True)
def _seeded():
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session", params=one_of_each_family())
def bundle(request):
    """The name of a bundle of each family in turn, for its whole life; the working folder is the repository's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        yield request.param


@pytest.fixture(scope="session", params=siblings())
def sibling(request):
    """The name of every other bundle that has something of its own in turn; the working folder is the repository's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        yield request.param


@pytest.fixture(scope="session")
def trained(bundle, tmp_path_factory):
    """A folder in which the bundle was trained for two epochs on its phantoms; tests must leave it as it is."""
    from monai.bundle import run

    folder = tmp_path_factory.mktemp(bundle)
    run(config_file=config_file(bundle, "train"), **tiny(bundle, folder, device="cpu"))  # as text, as a user gives it
    return folder
