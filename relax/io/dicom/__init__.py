"""DICOM: one frame as a viewer displays it, what the files of a folder are, and the segments of a SEG."""
