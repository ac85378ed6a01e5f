"""torch-fidelity's functions on features, the reference for these distances.

torch-fidelity imports torchvision, whose compiled operators do not load beside every build of torch. None of them is
needed here.
"""

import sys
import types

try:
    import torchvision  # noqa: F401
except RuntimeError:
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")

from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

__all__ = [
    "fid_features_to_statistics",
    "fid_statistics_to_metric",
    "isc_features_to_metric",
    "kid_features_to_metric",
    "prc_features_to_metric",
]
