"""Processes of their own, forked from one that has imported what takes many seconds to import and did nothing else.

As with processes that are spawned, what they are given is pickled, and they share nothing with the tests' own.
"""

import io
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout

import torch

PRELOADED = [
    "monai.bundle",
    "tools.data.cache",
    "tools.engines.trainer",
    "tools.engines.checkpoint",
    "tools.evaluation.handlers",
    "tools.evaluation.report_handler",
]


def forkserver():
    """A context of multiprocessing, for where "spawn" would have every process import everything again."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    return multiprocessing.get_context("forkserver")


def in_another_process(act, *arguments):
    """What ``act(*arguments)`` returns in another process; errors are raised here."""
    with ProcessPoolExecutor(1, forkserver()) as pool:
        return pool.submit(act, *arguments).result()


def run_module(command, cwd, env, **_):
    """As ``subprocess.run`` of ``python -m MODULE ...``, whose process need not import everything again."""
    return in_another_process(_run_module, command, str(cwd), env)


def _run_module(command, cwd, env):
    _, _, module, *arguments = command
    os.chdir(cwd)
    os.environ |= env
    sys.argv = [module, *arguments]
    code, said = 0, io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code or 0
        except Exception:
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(command, code, "", said.getvalue())


def in_two_processes(act, *arguments):
    """``act(rank, *arguments)`` for ranks 0 and 1, with the environment that torchrun gives; errors are raised here."""
    forkserver()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(_start, (port, act, arguments), nprocs=2, start_method="forkserver")


def _start(rank, port, act, arguments):
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {key: str(value) for key, value in ranks.items()}
    torch.set_num_threads(1)
    act(rank, *arguments)
