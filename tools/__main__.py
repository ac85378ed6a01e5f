"""The commands of the project: ``python -m tools`` lists them, ``python -m tools <command> --help`` explains one."""

import sys

import fire

from tools.benchmark import benchmark
from tools.benchmark.distances import benchmark_distances
from tools.catalogue.write import write_bundles
from tools.evaluate import evaluate
from tools.phantom import phantom
from tools.preprocess import preprocess
from tools.share.index import index
from tools.share.inspection import inspect
from tools.share.pack import pack
from tools.study.command import StudyCommands

COMMANDS = {
    "benchmark": benchmark,
    "benchmark_distances": benchmark_distances,
    "evaluate": evaluate,
    "index": index,
    "inspect": inspect,
    "pack": pack,
    "phantom": phantom,
    "preprocess": preprocess,
    "study": StudyCommands,
    "write_bundles": write_bundles,
}


def main(arguments: list[str] | None = None) -> None:
    """Run a command, or list all of them; ``arguments`` are the command line's if None.

    What a user can mend (a wrong value, a missing file) ends with its message, without a traceback.
    """
    try:
        fire.Fire(COMMANDS, command=arguments, name="tools")
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
