"""Processes of their own, forked from one that has imported what takes many seconds to import and did nothing else.

As with processes that are spawned, what they are given is pickled, and they share nothing with the tests' own.
"""

import multiprocessing
import os
import socket
from concurrent.futures import ProcessPoolExecutor

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
