"""What a dataset looks like on disk, turned into MONAI datalists."""

from tools.data.cache import cached_dataset, usable_dataset
from tools.data.fallback import dataset_or_phantoms
from tools.data.gsp import gsp_datalist
from tools.data.labels import with_labels
from tools.data.luna16 import luna16_datalist
from tools.data.phantoms.chaos import write_chaos_phantoms
from tools.data.phantoms.gsp import write_gsp_phantoms
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.preprocessed import data_provenance, image_transforms, preprocessed_info, t1_transforms
from tools.data.slices import SliceStore, UnpairedSampler, UnpairedSlices, unpaired, with_enough_slices
from tools.data.studies import ct_studies, mr_studies, translation_studies, true_ct
from tools.data.synthetic import reference_files, seed_datalist, with_seeds
from tools.data.volumes import volume_datalist
from tools.io.left_out import print_left_out
from tools.io.readers import VolumeError
from tools.io.volume_reader import VolumeReader, volume_header

__all__ = [
    "SliceStore",
    "UnpairedSampler",
    "UnpairedSlices",
    "VolumeError",
    "VolumeReader",
    "cached_dataset",
    "ct_studies",
    "data_provenance",
    "dataset_or_phantoms",
    "gsp_datalist",
    "image_transforms",
    "luna16_datalist",
    "mr_studies",
    "preprocessed_info",
    "print_left_out",
    "reference_files",
    "seed_datalist",
    "t1_transforms",
    "translation_studies",
    "true_ct",
    "unpaired",
    "usable_dataset",
    "volume_datalist",
    "volume_header",
    "with_enough_slices",
    "with_labels",
    "with_seeds",
    "write_chaos_phantoms",
    "write_gsp_phantoms",
    "write_luna16_phantoms",
]
