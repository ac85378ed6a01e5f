"""Real volumes, for tests that are skipped where there are none.

The environment variable REAL_VOLUMES names their folder; without it they are looked for in ../shared/data. It holds
`chest_ct/subset<n>/*.mhd` in LUNA16's layout, and NIfTI files in `abdomen_ct`, `abdomen_mr` and `brain_t1`.
"""

import os
from pathlib import Path

import pytest

from tests.tiny import REPOSITORY

REAL = Path(os.environ.get("REAL_VOLUMES", REPOSITORY.parent / "shared" / "data"))
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real volumes at {REAL} (REAL_VOLUMES)")
