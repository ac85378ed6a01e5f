"""Warnings of other libraries that say nothing to a user of these commands, silenced one by one."""

from __future__ import annotations

import logging
import warnings


def quiet() -> None:
    """Silence warnings in a command line's own process; a library leaves warnings to the program that uses it."""
    # MONAI tries a decoder for NVIDIA GPUs whenever an image is read. These bundles read DICOM by pydicom and GDCM,
    # with and without a GPU, so that nothing is missing.
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader: nvImageCodec decoder plugin")
    # The RSNA's anonymised slices have ID_0123456789 for each UID: a line for every one of 20,000 series.
    warnings.filterwarnings("ignore", message="Invalid value for VR UI: 'ID_")
