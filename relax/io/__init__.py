"""Pixels in, maps out: image files, DICOM and NIfTI."""
