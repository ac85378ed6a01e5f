"""Folders that one training at a time writes into."""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

logger = logging.getLogger(__name__)

NAME = ".training.lock"
BEAT = 10.0
"""Seconds between two signs of life of a training."""


class FolderInUse(RuntimeError):
    """Another training writes into the folder."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host: name of the machine.
        space: space of process numbers: containers of one machine have their own.
        process: number of the process.
        process_start: time of its start, in the kernel's clock ticks, which tells it from a later process of the same
            number; None where the kernel does not say.
        started: date and time at which it took the lock.
    """

    host: str
    space: str
    process: int
    process_start: int | None
    started: str

    @staticmethod
    def this_process() -> Holder:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Holder(socket.gethostname(), _process_space(), os.getpid(), _process_start(os.getpid()), now)

    def is_near(self) -> bool:
        """Return whether its process would be seen from here."""
        return (self.host, self.space) == (socket.gethostname(), _process_space())

    def lives(self) -> bool:
        """Return whether its process, if it is near, still runs."""
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # of another user
            pass
        return self.process_start == _process_start(self.process)


class FolderLock:
    """A lock on a folder that a dead process does not keep.

    The file ``.training.lock`` says who holds it, and the kernel's lock on it (flock) goes with the process, however
    that ends. Where a file system has no such locks the holder's process is looked for. Some network file systems keep
    them to the machine that takes them, so a training also touches its file every ``BEAT`` seconds: one from another
    machine (or container) is watched for three beats, and refused if the file is touched. That costs a job that goes on
    elsewhere half a minute after a crash, and never lets two trainings write into one folder.

    Args:
        folder: folder to lock, made if it does not exist.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.path = Path(folder) / NAME
        self._file: int | None = None
        self._released = threading.Event()

    def acquire(self) -> None:
        """
        Raises:
            FolderInUse: another training holds the lock; with its host, process and start.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file, locked = self._open()
        try:
            holder = _read(self.path)
            if not locked or (holder is not None and self._is_held(holder)):
                raise FolderInUse(_refusal(self.path, holder))
            if holder is not None:
                logger.info(f"The training of process {holder.process} on {holder.host} has ended without a word.")
            os.ftruncate(file, 0)
            os.write(file, json.dumps(asdict(Holder.this_process())).encode())
            os.fsync(file)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        self._released.clear()
        threading.Thread(target=self._beat, name="folder lock", daemon=True).start()

    def release(self) -> None:
        """Give the folder back."""
        self._released.set()
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def forget(self) -> None:
        """Close the file but do not give the folder back: in a process that was forked from the one with the lock."""
        self._released.set()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> tuple[int, bool]:
        """The file, and whether the kernel has no other who locks it."""
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return file, False
            except OSError:  # a file system without locks
                pass
            if _same_file(file, self.path):
                return file, True
            os.close(file)  # its holder removed it meanwhile

    def _is_held(self, holder: Holder) -> bool:
        if holder.is_near():
            return holder.process != os.getpid() and holder.lives()
        return _is_touched(self.path)

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            try:
                os.utime(self.path)
            except OSError:
                logger.warning(f"{self.path} cannot be touched: another training may take this one for dead.")


_held: dict[Path, FolderLock] = {}


def hold(*folders: str | os.PathLike) -> None:
    """Lock folders for this process, until ``release_folders`` or its end.

    A folder that this process has locked already stays locked.

    Raises:
        FolderInUse: another training writes into one of them.
    """
    for folder in folders:
        path = Path(folder).resolve()
        if path not in _held:
            lock = FolderLock(path)
            lock.acquire()
            _held[path] = lock


def release_folders() -> None:
    """Release all folders that this process has locked."""
    while _held:
        _held.popitem()[1].release()


def _forget_in_child() -> None:
    """A forked worker may outlive its training by seconds: the lock must not live on in its copy of the file."""
    while _held:
        _held.popitem()[1].forget()


atexit.register(release_folders)  # of a run that ends with an error, which need not be looked into by the next one

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


def _refusal(path: Path, holder: Holder | None) -> str:
    who = "another training"
    if holder is not None:
        who += f" (process {holder.process} on {holder.host}, started {holder.started})"
    return (
        f"{who} writes into {path.parent}. Nothing was touched. Wait until it has ended or stop it, or give this one "
        "folders of its own: --bundle_root, or --ckpt_dir and --output_dir."
    )


def _read(path: Path) -> Holder | None:
    """Return who is named in a lock's file; None if nobody is, or it was not written to its end."""
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _is_touched(path: Path) -> bool:
    """Return whether the file changes within three beats. Its own times are compared, so that no clocks must agree."""
    before = _touched(path)
    logger.warning(f"{path} is of a training on another machine. Looking whether that lives: {3 * BEAT:g} seconds.")
    for _ in range(6):
        time.sleep(BEAT / 2)
        if _touched(path) != before:
            return True
    return False


def _touched(path: Path) -> int:
    with path.open() as file:  # opening makes network file systems ask their server
        return os.fstat(file.fileno()).st_mtime_ns


def _same_file(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _process_space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _process_start(process: int) -> int | None:
    """Start of a process, in clock ticks: field 22 of proc(5)'s stat, the 20th after the name in brackets."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
