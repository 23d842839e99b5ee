"""The elements of a DICOM header that concern pixels and geometry: those that may be read and copied, and no others.

Source: DICOM PS3.3, C.7.6.3 (image pixel), C.7.6.16 (functional groups), C.11.1 and C.11.2 (modality and VOI LUT).
"""

from __future__ import annotations

GREY, COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
OTHER_COLOURS = ("ARGB", "CMYK", "HSV", "XYB", "YBR_PARTIAL_420", "YBR_PARTIAL_422")
"""Photometric interpretations: one shade a pixel, colours, and colours that are defined, but not read here."""

GEOMETRY = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PatientOrientation",
)
"""Elements that place pixels in space. They are copied into maps and do not identify the patient."""

VALUES = (
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
)
"""Elements that turn stored values into those of the device, and into shades."""

PIXELS = (
    "SOPClassUID",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "BurnedInAnnotation",
    *(
        f"{part}PaletteColorLookupTable{what}"
        for part in ("Red", "Green", "Blue", "Alpha", "SegmentedRed", "SegmentedGreen", "SegmentedBlue")
        for what in ("Data", *(() if part.startswith("Segmented") else ("Descriptor",)))
        if (part, what) != ("Alpha", "Descriptor")
    ),
)
"""Elements that say how pixels are stored."""

SCOPES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
"""Where an enhanced object keeps its functional groups: those of all frames, and those of each."""

GROUPS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FrameContentSequence",
)
"""Functional groups whose elements concern pixels and geometry."""
