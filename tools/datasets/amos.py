"""AMOS22 (Ji et al. 2022): 500 abdominal CT and 100 MR with 15 organs, in the layout of the Decathlon.

`imagesTr/amos_0001.nii.gz`, `labelsTr/amos_0001.nii.gz`; `imagesVa` and `labelsVa` likewise. Numbers above 500 are MR.
"""

from tools.datasets.record import Dataset, Images, Labels

ORGANS = (
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "oesophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior vena cava",
    "pancreas",
    "right adrenal gland",
    "left adrenal gland",
    "duodenum",
    "bladder",
    "prostate or uterus",
)
"""In the order of their values, from 1."""

AMOS = Dataset(
    name="amos",
    looks="imagesTr/amos_0001.nii.gz, labelsTr/amos_0001.nii.gz and so on as AMOS22 is published",
    images={
        "ct": Images(r"(.*/)?images(Tr|Va|Ts)/(?P<id>amos_0([0-4]\d\d|500))", "CT"),
        "mr": Images(r"(.*/)?images(Tr|Va|Ts)/(?P<id>amos_0(50[1-9]|5[1-9]\d|600))", "MR"),
    },
    labels=Labels(
        r"(.*/)?labels(Tr|Va)/(?P<id>amos_\d{4})", {organ: value for value, organ in enumerate(ORGANS, start=1)}
    ),
    ids=r"amos_\d{4}$",
    source="AMOS22, https://amos22.grand-challenge.org",
    files="NIfTI",
    reference="Ji Y et al. AMOS: a large-scale abdominal multi-organ benchmark for versatile medical image "
    "segmentation. NeurIPS Datasets and Benchmarks, 2022.",
    terms="""\
AMOS22 (https://amos22.grand-challenge.org, https://doi.org/10.5281/zenodo.7155725) has 500 CT and 100 MR of the abdomen
with 15 organs, of which 200 CT and 40 MR are to train on, and is published under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/). The volumes are not part of this bundle. Cite:
- Ji Y, Bai H, Ge C, et al. AMOS: a large-scale abdominal multi-organ benchmark for versatile medical image
  segmentation. Advances in Neural Information Processing Systems 35 (Datasets and Benchmarks), 2022.
""",
)
