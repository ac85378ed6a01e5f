"""Two processes of torch.distributed, forked from one that has imported what takes many seconds to import."""

import multiprocessing
import os
import socket

import torch

PRELOADED = [
    "monai.bundle",
    "tools.data.cache",
    "tools.engines.trainer",
    "tools.engines.checkpoint",
    "tools.evaluation.handlers",
    "tools.evaluation.report_handler",
]


def in_two_processes(act, *arguments):
    """``act(rank, *arguments)`` for ranks 0 and 1, with the environment that torchrun gives; errors are raised here."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(_start, (port, act, arguments), nprocs=2, start_method="forkserver")


def _start(rank, port, act, arguments):
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {key: str(value) for key, value in ranks.items()}
    torch.set_num_threads(1)
    act(rank, *arguments)
