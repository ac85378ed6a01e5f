"""Folders of small scans."""

import multiprocessing

import pytest

from tests.data.scans import write_ct
from tests.processes import forkserver
from tools.data.phantoms.gsp import write_gsp_phantoms


@pytest.fixture
def dataset(tmp_path):
    """Four CT in LUNA16's layout; tests may change them."""
    root = tmp_path / "dataset"
    for k, name in enumerate(["subset0/1.2.a.mhd", "subset1/1.2.b.mhd", "subset9/1.2.c.mhd", "more/d.nii.gz"]):
        write_ct(root / name, seed=k, oblique=k == 1)
    return root


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """Four phantoms of heads in GSP's layout; tests must leave them as they are."""
    return write_gsp_phantoms(tmp_path_factory.mktemp("t1") / "gsp", 4, shape=(40, 48, 36), lesions="half")


@pytest.fixture
def quick_workers(monkeypatch):
    """Workers that the code under test spawns are forked from a process that has imported what they need."""
    context = forkserver()
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)
