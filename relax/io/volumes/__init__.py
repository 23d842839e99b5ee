"""Volumes slice by slice: NIfTI and its kin, DICOM series put together by positions; and maps that lie over them."""
