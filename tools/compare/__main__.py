"""Measures a run that is trained: ``python -m tools.compare FOLDER``, in a process of its own."""

import sys
from pathlib import Path

from tools.child_process import end_with_parent
from tools.compare.design import RunFolder
from tools.compare.measuring import measure
from tools.errors import mendable_message
from tools.quiet import quiet

if __name__ == "__main__":
    end_with_parent()
    quiet()
    try:
        measure(RunFolder(Path(sys.argv[1])))
    except Exception as error:
        message = mendable_message(error)
        if message is None:
            raise
        raise SystemExit(message) from error
