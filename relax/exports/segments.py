"""The top region of a map as a Segmentation, by the rule of `relax.overlay`: the pixels from the 80th percentile on.

Its category is a spatial concept (SCT 309825002), its type "Top region of the map" (99RELAX top-region), its
algorithm automatic. A picture in which nothing is ahead, since the map is constant, has an empty frame.

Source: DICOM PS3.3, A.51 (Segmentation), C.8.20.2 (segments); PS3.16, CID 7150; highdicom makes the objects.
"""

from __future__ import annotations

import numpy as np

from relax.exports.maker import NAME, TOP_REGION, Choices, Series, device, recipe, settings
from relax.exports.patient import Identity
from relax.exports.references import StandIns
from relax.exports.sheaf import Sheaf
from relax.io.extra import medical_extra
from relax.plotting.overlay import top_region
from relax.provenance import version_of

with medical_extra():
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes


def segmentations(sheaf: Sheaf, choices: Choices) -> list[Dataset]:
    """The objects; errors as for `relax.export_maps`."""
    sheaf.map(choices.map)
    region = sheaf.laid(lambda explanation: top_region(getattr(explanation, choices.map)))
    region = np.nan_to_num(np.asarray(region, np.float32)).astype(np.uint8)
    if not region.any():
        raise ValueError(f"map must have a top region; {choices.map} is the same everywhere")
    stand_ins = StandIns(sheaf, Identity(sheaf, choices.keep))
    series = Series.of(f"RELAX {choices.map}, top region", 4)
    segment = SegmentDescription(
        segment_number=1,
        segment_label=f"Top region of the {choices.map.replace('_', ' ')}",
        segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
        segmented_property_type=TOP_REGION,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=NAME,
            family=codes.DCM.ArtificialIntelligence,
            version=version_of("relax-explainer"),
            parameters=settings(sheaf.records),
        ),
    )
    datasets: list[Dataset] = []
    for numbers in sheaf.apart():
        dataset = Segmentation(
            stand_ins.of(numbers),
            region[numbers],
            segmentation_type="BINARY",
            segment_descriptions=[segment],
            omit_empty_frames=False,
            content_label="TOP_REGION",
            content_description="Pixels from the 80th percentile of each picture on",
            **series.next(),
            **device(),
        )
        dataset.DerivationDescription = f"RELAX, top region of the {choices.map}; {recipe(sheaf.records)}"
        if not sheaf.frames[numbers[0]].place:
            dataset.setdefault("PatientOrientation", "")
        stand_ins.finish(dataset)
        datasets.append(dataset)
    return datasets
