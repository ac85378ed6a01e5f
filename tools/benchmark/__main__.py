"""The process of one case: ``python -m tools.benchmark '<case as JSON>'`` prints the result as JSON.

For users there is ``python -m tools benchmark``, which starts one such process after the other.
"""

import contextlib
import json
import sys
from pathlib import Path

from tools.benchmark.case import Case
from tools.benchmark.measure import answer


def main(case: str) -> None:
    """Measure a case; what the bundle prints goes to stderr, so that stdout holds nothing but the result."""
    victim_first()
    with contextlib.redirect_stdout(sys.stderr):
        result = answer(Case(**json.loads(case)))
    print(json.dumps(result))


def victim_first() -> None:
    """Let Linux, where memory runs out, kill this process and none of the user's others."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    main(sys.argv[1])
