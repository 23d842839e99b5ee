"""The region of a picture within which masks vary: boxes, files of masks, labels of volumes, segments of a SEG."""
