"""The commands of the project: ``python -m tools <command> --help``."""

import fire

from tools.phantom import phantom
from tools.preprocess import preprocess

COMMANDS = {"phantom": phantom, "preprocess": preprocess}


def main() -> None:
    """Run a command, or list all of them."""
    fire.Fire(COMMANDS, name="python -m tools")


if __name__ == "__main__":
    main()
