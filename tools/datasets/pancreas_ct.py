"""NIH Pancreas-CT (Roth et al. 2016): 80 abdominal CT as DICOM, and the pancreas as NIfTI in a folder of its own.

`Pancreas-CT/PANCREAS_0001/<study>/<series>/*.dcm`, and `label0001.nii.gz` wherever the labels were unpacked. The
headers of these labels do not say where they lie: their voxels are those of the CT, columns, rows, and slices from the
feet up.
"""

from tools.datasets.record import Dataset, Images, Labels

PANCREAS_CT = Dataset(
    name="pancreas_ct",
    looks="PANCREAS_0001/<study>/<series>/*.dcm and label0001.nii.gz and so on as NIH Pancreas-CT is published",
    images={"ct": Images(r"(.*/)?PANCREAS_(?P<id>\d{4})(/.*)?", "CT")},
    labels=Labels(r"(.*/)?label(?P<id>\d{4})", {"pancreas": 1}, by="voxels"),
    ids=r"\d{4}$",
    source="NIH Pancreas-CT, https://doi.org/10.7937/K9/TCIA.2016.tNB1kqBU",
    files="DICOM, labels NIfTI",
    reference="Roth HR et al. DeepOrgan: multi-level deep convolutional networks for automated pancreas segmentation. "
    "MICCAI, 2015.",
    terms="""\
Pancreas-CT (https://doi.org/10.7937/K9/TCIA.2016.tNB1kqBU) of the National Institutes of Health has abdominal CT of 80
people with healthy pancreas, about 70 s after contrast agent, 512 x 512 pixels and slices of 1.5 to 2.5 mm, with the
pancreas outlined; it is published by The Cancer Imaging Archive under the Creative Commons Attribution 3.0 Unported
licence (CC BY 3.0). The scans are not part of this bundle. Cite:
- Roth HR, Farag A, Turkbey EB, Lu L, Liu J, Summers RM. Data from Pancreas-CT. The Cancer Imaging Archive, 2016.
- Roth HR, Lu L, Farag A, et al. DeepOrgan: multi-level deep convolutional networks for automated pancreas segmentation.
  MICCAI 2015, LNCS 9349:556-564.
- Clark K, Vendt B, Smith K, et al. The Cancer Imaging Archive (TCIA): maintaining and operating a public information
  repository. J Digit Imaging 26(6):1045-1057, 2013.
""",
)
