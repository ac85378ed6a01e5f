"""Batches that are made once, and measurements without processes."""

import contextlib
import io
import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from tests.benchmark.small import DATA
from tools.benchmark import __main__ as one_case
from tools.benchmark import processes
from tools.benchmark.batches import write_first_batch
from tools.benchmark.case import Case


@pytest.fixture(scope="session")
def batch_file(tmp_path_factory):
    """Files of first batches, each made once; a bundle's phantoms are made once too."""
    made = {}

    def file(bundle, image_size, overrides):
        data = {key: value for key, value in overrides.items() if key in DATA}
        folder = made.setdefault((bundle, str(sorted(data.items()))), tmp_path_factory.mktemp("batches"))
        path = folder / f"{image_size}.pt"
        if not path.exists():
            write_first_batch(bundle, image_size, data, path)
        return str(path)

    return file


@pytest.fixture(scope="session")
def here(batch_file):
    """Case by case what `python -m tools.benchmark` does, without the seconds that a process takes to start."""

    def run(command, **options):
        case = Case(**json.loads(command[-1]))
        if case.table == "batch":
            shutil.copy(batch_file(case.bundle, case.image_size, case.overrides), case.batch)
            return subprocess.CompletedProcess(command, 0, '{"value": 4, "before": 1, "peak": 1}', "")
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                one_case.main(command[-1])
        except Exception as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))
        return subprocess.CompletedProcess(command, 0, said.getvalue(), "")

    def in_this_process(patch):
        patch.setattr(processes, "subprocess", SimpleNamespace(run=run))
        patch.setattr(one_case, "victim_first", lambda: None)
        return run

    return in_this_process
