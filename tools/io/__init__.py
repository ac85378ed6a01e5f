"""Readers of volumes and DICOM, and writers: below transforms and data, which say what is done with them."""
