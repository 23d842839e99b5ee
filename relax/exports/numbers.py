"""The numbers of maps as a structured report, by the template of imaging measurements (TID 1500).

One group of measurements for each picture, with the picture as its source: mean, lowest and highest importance, the
same in the top region with its share of the picture, mean uncertainty, largest standard error, and the cosines by
which the map is to be read: masked views, everything hidden, pieces shuffled. The algorithm is identified with
encoder, method, masks and seed.

Codes: Saliency is DCM 130404, of the region its mean SCT 373098007; what the standard has no code for is of 99RELAX.
The report is neither complete nor verified: nobody has read it.

Source: DICOM PS3.16, TID 1500, TID 1501 and TID 4019; highdicom makes the objects.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relax.exports.maker import NAME, SCHEME, TOP_REGION, Choices, Series, settings
from relax.exports.patient import Identity, checked_keep
from relax.exports.references import StandIns
from relax.exports.sheaf import Sheaf
from relax.io.extra import medical_extra
from relax.maps import ExplanationLike
from relax.plotting.overlay import top_region
from relax.provenance import version_of

with medical_extra():
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import (
        AlgorithmIdentification,
        CodedConcept,
        ComprehensiveSR,
        DeviceObserverIdentifyingAttributes,
        Measurement,
        MeasurementReport,
        MeasurementsAndQualitativeEvaluations,
        ObservationContext,
        ObserverContext,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code
    from pydicom.uid import generate_uid

_ROOT = "2.25.306150712297478064243160093372286214573"  # of a random UUID, of this program as an observer
COSINES = {
    "masked": Code("cosine-masked", SCHEME, "Mean cosine of masked views to the picture"),
    "hidden": Code("cosine-hidden", SCHEME, "Cosine of the picture, entirely hidden"),
    "shuffled": Code("cosine-shuffled", SCHEME, "Cosine of the picture, its pieces shuffled"),
}
SHARE = Code("top-share", SCHEME, "Share of the picture in the top region")
UNCERTAINTY = Code("uncertainty", SCHEME, "Uncertainty of the importance (variance over the masks)")
ERROR = Code("standard-error", SCHEME, "Standard error of the importance")
MASKS = Code("masks", SCHEME, "Number of masks")


def reports(sheaf: Sheaf, choices: Choices) -> list[Dataset]:
    """The one object; errors as for `relax.export_maps`, and for slices of another plane than the pictures."""
    checked_keep(choices.keep, refers="sr")
    if None in sheaf.explained:
        raise ValueError(
            "sr has numbers of pictures: explain slices in the plane of the series, or choose another kind"
        )
    stand_ins = StandIns(sheaf, Identity(sheaf, choices.keep))
    program = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=_ROOT, name=NAME, manufacturer_name=NAME, model_name=NAME
        ),
    )
    groups = [
        _group(explanation, stand_in, number)
        for number, (explanation, stand_in) in enumerate(zip(sheaf.explained, stand_ins.datasets, strict=True), 1)
        if explanation is not None
    ]
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=program),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    scheme = CodingSchemeIdentificationItem(SCHEME, name=NAME, version=version_of("relax-explainer"))
    document = ComprehensiveSR(
        evidence=stand_ins.datasets,
        content=report,
        **{**Series.of("RELAX numbers", 6).next(), "is_complete": False, "is_verified": False},
        coding_schemes=[scheme],
        manufacturer_model_name=NAME,
        software_versions=version_of("relax-explainer"),
    )
    stand_ins.finish(document)
    return [document]


def _group(explanation: ExplanationLike, stand_in: Dataset, number: int) -> MeasurementsAndQualitativeEvaluations:
    """The measurements of one picture."""
    how = settings([explanation.provenance])
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=generate_uid(), identifier=f"picture {number}"),
        finding_type=codes.DCM.Saliency,
        algorithm_id=AlgorithmIdentification(
            name=NAME,
            version=version_of("relax-explainer"),
            parameters=[f"{name}={value}" for name, value in how.items()],
        ),
        measurements=list(_measurements(explanation)),
        source_images=[SourceImageForMeasurementGroup(stand_in.SOPClassUID, stand_in.SOPInstanceUID)],
    )


def _measurements(explanation: ExplanationLike) -> Iterator[Measurement]:
    """Those that are known."""
    importance = explanation.importance
    region, known = top_region(importance), np.isfinite(importance)
    saliency, no_units = codes.DCM.Saliency, codes.UCUM.NoUnits
    derivations = {"mean": codes.SCT.Mean, "min": codes.SCT.Minimum, "max": codes.SCT.Maximum}
    for name, derivation in derivations.items():
        value = float(getattr(np, name)(importance[known].astype(np.float64)))
        yield Measurement(saliency, value, no_units, derivation=derivation)
    if region.any():
        value = float(importance[region].mean(dtype=np.float64))
        yield Measurement(CodedConcept.from_code(_IN_REGION), value, no_units, derivation=codes.SCT.Mean)
        yield Measurement(SHARE, 100 * float(region.sum() / region.size), codes.UCUM.Percent)
    for code, values, derivation, summary in (
        (UNCERTAINTY, explanation.uncertainty, codes.SCT.Mean, np.mean),
        (ERROR, explanation.standard_error, codes.SCT.Maximum, np.max),
    ):
        defined = values[np.isfinite(values)].astype(np.float64)
        if defined.size:
            yield Measurement(code, float(summary(defined)), no_units, derivation=derivation)
    cosines = (explanation.provenance.get("scale") or {}).get("cosine") or {}
    for name, code in COSINES.items():
        entry = cosines.get(name)
        cosine = entry.get("mean") if isinstance(entry, dict) else entry
        if cosine is not None:
            yield Measurement(code, float(cosine), no_units)
    if count := (explanation.provenance.get("masks") or {}).get("count"):
        yield Measurement(MASKS, float(count), no_units)


_IN_REGION = Code("saliency-top-region", SCHEME, f"Saliency: {TOP_REGION.meaning}")
