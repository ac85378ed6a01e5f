"""Runs in processes of their own, several at a time; what a stopped or killed run has done is not done again."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.child_process import start
from tools.compare.checks import Entrant
from tools.compare.configs import config_of, overlay
from tools.compare.design import Run, RunFolder, Settings, folder_of

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[2]

LINES = 3
"""Lines of a process's output that say why it failed."""


class Interrupted(Exception):
    """The comparison was asked to stop."""


@dataclass(frozen=True)
class Ended:
    """A run that has come to its end.

    Attributes:
        run: bundle and seed.
        problem: reason why it has no result, "" if it has one.
    """

    run: Run
    problem: str = ""


class Processes:
    """Processes of a comparison, which end with it, even if it is killed: a training is asked to save itself first.

    Args:
        threads: threads of each process on the CPU; None leaves torch's choice.
    """

    def __init__(self, threads: int | None) -> None:
        self.threads = threads
        self._alive: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def run(self, command: Sequence[str], log: Path) -> str:
        """Run a command to its end, with what it says in a file.

        Returns:
            Last words of a command that failed, else "".

        Raises:
            Interrupted: `stop` was called.
        """
        environment = dict(os.environ)
        if self.threads is not None:
            environment |= {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        with open(log, "ab") as output:
            with self._lock:
                if self._stopping:
                    raise Interrupted
                # a session of its own: Ctrl-C reaches it through `stop`, once
                process = start(
                    command, environment, cwd=REPOSITORY, stdout=output, stderr=output, start_new_session=True
                )
                self._alive.add(process)
            with process:
                code = process.wait()
        with self._lock:
            self._alive.discard(process)
            if self._stopping:
                raise Interrupted
        return "" if code == 0 else f"exit status {code}: {last_words(log)}"

    def stop(self) -> None:
        """Ask all processes to end, and start no more."""
        with self._lock:
            self._stopping = True
            for process in self._alive:
                process.terminate()


def run_all(
    runs: Sequence[Run],
    entrants: Sequence[Entrant],
    settings: Settings,
    output_dir: Path,
    at_a_time: int,
    processes: Processes,
    common: dict[str, Any],
) -> Iterator[Ended]:
    """Train and measure all runs that are not done, and give each as it ends; those that fail do not stop others.

    Args:
        runs: runs, in the order in which they begin.
        entrants: their bundles.
        settings: settings of the comparison.
        output_dir: folder of the comparison.
        at_a_time: number of runs that go on at the same time.
        processes: processes in which they do.
        common: entries of their records beside the settings.
    """
    by_name = {entrant.bundle: entrant for entrant in entrants}
    with ThreadPoolExecutor(at_a_time) as pool:
        futures = {}
        try:
            for run in runs:
                work = _Work(run, by_name[run.bundle], settings, folder_of(output_dir, run), common)
                futures[pool.submit(work, processes.run)] = run
            for future in as_completed(futures):
                yield Ended(futures[future], future.result())
        except BaseException:
            processes.stop()
            for future in futures:
                future.cancel()
            raise


@dataclass(frozen=True)
class _Work:
    """A run from its beginning, or from where it was, to its result."""

    run: Run
    entrant: Entrant
    settings: Settings
    folder: RunFolder
    common: dict[str, Any]

    def __call__(self, do: Callable[[Sequence[str], Path], str]) -> str:
        folder = self.folder
        if folder.is_measured:
            return ""
        if not folder.is_trained:
            self._begin()
            files = [str(config_of(self.run.bundle)), str(folder.path / RunFolder.OVERLAY)]
            problem = do([sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files)], self._log("train"))
            if not problem and not folder.is_trained:
                problem = f"the training ended before its budget was spent: {last_words(self._log('train'))}"
            if problem:
                return problem
        problem = do([sys.executable, "-m", "tools.compare", str(folder.path)], self._log("measure"))
        return problem

    def _begin(self) -> None:
        record = {
            "bundle": self.run.bundle,
            "seed": self.run.seed,
            "parameters": self.entrant.parameters,
            "settings": self.settings.record(),
            **self.common,
        }
        laid = overlay(self.run, self.settings, self.folder, self.entrant.own, self.entrant.data)
        device = self.common.get("device")
        self.folder.write(RunFolder.OVERLAY, laid | ({"device": device} if device else {}))
        self.folder.write(RunFolder.RECORD, record)

    def _log(self, name: str) -> Path:
        return self.folder.path / f"{name}.log"


def last_words(log: Path) -> str:
    """The end of what a process said."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-LINES:])[-600:] if lines else "no message"
