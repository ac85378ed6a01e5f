"""Lets this bundle find its own `tools` from any working folder, also beside another bundle in the same process."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if sys.path[0] != str(ROOT):
    sys.path.insert(0, str(ROOT))
for name, module in list(sys.modules.items()):
    if name.split(".")[0] == "tools" and not Path(getattr(module, "__file__", None) or "/").is_relative_to(ROOT):
        del sys.modules[name]
