"""Objects of an archive beside its pictures are passed over with their names, and loops in YBR have their colours."""

import numpy as np
import pytest

from relax.io.images import each_picture, read_image
from relax.io.sources import sources_of

pydicom = pytest.importorskip("pydicom", reason="the extra [medical] is not installed")

from pydicom import uid as uids  # noqa: E402

from tests.dicom_objects import ct, report, ultrasound, written  # noqa: E402

NO_PICTURES = {
    uids.GrayscaleSoftcopyPresentationStateStorage: ("PR", "Grayscale Softcopy Presentation State Storage"),
    uids.KeyObjectSelectionDocumentStorage: ("KO", "Key Object Selection Document Storage"),
    uids.EncapsulatedPDFStorage: ("DOC", "Encapsulated PDF Storage"),
    uids.RTStructureSetStorage: ("RTSTRUCT", "RT Structure Set Storage"),
}
YBR = [(76, 85, 255), (29, 255, 107), (150, 100, 200), (50, 100, 200)]
RGB = [(254, 0, 0), (0, 0, 254), (251, 108, 100), (151, 8, 0)]
"""By hand: R = Y + 1.402 (Cr - 128), G = Y - 0.344136 (Cb - 128) - 0.714136 (Cr - 128), B = Y + 1.772 (Cb - 128)."""


def test_presentation_states_key_objects_documents_and_structures_are_passed_over_by_name(tmp_path):
    written(tmp_path / "picture", ct(0))
    for kind, (modality, _) in NO_PICTURES.items():
        dataset = report()
        dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = kind, pydicom.uid.generate_uid(), modality
        if kind == uids.EncapsulatedPDFStorage:
            dataset.EncapsulatedDocument, dataset.MIMETypeOfEncapsulatedDocument = b"%PDF-1.4", "application/pdf"
        written(tmp_path / f"{modality}.dcm", dataset)

    sources = sources_of(tmp_path)

    assert [sources.name(address) for address in sources.pictures] == ["picture"]
    rows = sources.passed_over()
    assert sorted((why, detail) for _, why, detail in rows) == sorted(
        ("no picture", name) for _, name in NO_PICTURES.values()
    )


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
def test_an_ultrasound_loop_in_ybr_has_its_colours_in_every_frame(tmp_path, photometric):
    """Frame 1: red over blue; frame 2: two brightnesses of one colour side by side, which share it in 4:2:2."""
    frames = np.array([[[YBR[0]] * 2, [YBR[1]] * 2], [[YBR[2], YBR[3]]] * 2], np.uint8)
    expected = np.array([[[RGB[0]] * 2, [RGB[1]] * 2], [[RGB[2], RGB[3]]] * 2])
    dataset = ultrasound(2, (2, 2), PhotometricInterpretation=photometric)
    halved = [pair for row in frames.reshape(-1, 2, 3).tolist() for pair in (row[0][0], row[1][0], *row[0][1:])]
    dataset.PixelData = frames.tobytes() if photometric == "YBR_FULL" else bytes(halved)
    file = written(tmp_path / "loop", dataset)

    pictures = [read_image(address)[0].permute(1, 2, 0).numpy() * 255 for address in each_picture(f"{file}#frame=all")]

    np.testing.assert_allclose(pictures, expected, atol=1.01)
