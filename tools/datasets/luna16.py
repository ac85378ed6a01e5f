"""LUNA16 (Setio et al. 2017): 888 chest CT in ten numbered folders; the last is held out, as in CRF-GAN's paper."""

from tools.datasets.record import IMAGE_ROLES, Dataset, Images

LUNA16 = Dataset(
    name="luna16",
    looks="subset0 to subset9 with .mhd files as LUNA16 is published",
    images={"ct": Images(r"(.*/)?subset\d+/(?P<id>[^/]+)", voxels="CT")},
    ids=r"1\.3\.6\.1\.4\.1\.14519\.5\.2\.1\.6279\.6001\.",  # every series of LIDC-IDRI, hence of LUNA16
    fold=r"subset(\d+)",
    folds="subsets",
    validation_folds=(9,),
    roles=IMAGE_ROLES | {"ct"},
    source="LUNA16, https://luna16.grand-challenge.org (a subset of LIDC-IDRI)",
    files="MetaImage",
    reference="Setio AAA et al. Validation, comparison, and combination of algorithms for automatic detection of "
    "pulmonary nodules in computed tomography images: the LUNA16 challenge. Med Image Anal 42:1-13, 2017.",
    terms="""\
LUNA16 (https://luna16.grand-challenge.org) is a subset of LIDC-IDRI (https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX),
published by The Cancer Imaging Archive under the Creative Commons Attribution 3.0 Unported licence (CC BY 3.0,
https://creativecommons.org/licenses/by/3.0/). The volumes are not part of this bundle. Read the terms on both sites
before you use them, and cite:
- Armato SG III et al. The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI): a
  completed reference database of lung nodules on CT scans. Med Phys 38(2):915-931, 2011.
- Setio AAA et al. Validation, comparison, and combination of algorithms for automatic detection of pulmonary nodules
  in computed tomography images: the LUNA16 challenge. Med Image Anal 42:1-13, 2017.
""",
)
