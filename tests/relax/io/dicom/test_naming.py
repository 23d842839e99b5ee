"""A path tells who somebody is in any form in which names, dates, numbers and institutions are usually written."""

import pytest

from relax.io.dicom.identity import tells_date, tells_name, tells_number, tells_place


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Quagmire^Zebedee", "ZEBEDEE.dcm"),
        ("Quagmire^Zebedee", "scans/quagmire_z/1.dcm"),
        ("Quagmire^Zebedee", "MrQuagmire1.dcm"),
        ("Quagmire^Zebedee", "Q-u-a-g-m-i-r-e.dcm"),
        ("Müller^Änne", "Mueller.dcm"),
        ("Müller^Änne", "muller.dcm"),
        ("Mueller^Anne", "M\u00fcller.dcm"),
        ("Müller^Änne", "Mu\u0308ller.dcm"),
        ("Wickstrøm^Kari", "wickstroem.dcm"),
        ("Łukasz^Jan", "lukasz.dcm"),
        ("Groß^Ida", "gross.dcm"),
        ("Smith-Jones^Amy", "jones.dcm"),
        ("O'Brien^Pat", "obrien.dcm"),
        ("Lee^Ann", "AnnLee.dcm"),
        ("Lee^Ann", "annlee.dcm"),
        ("Li^Wu", "scan_li_1.dcm"),
        ("Li^Wu", "liwu.dcm"),
        ("Wang^XiaoDong=王^小東", "王小東.dcm"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "やまだ.dcm"),
        ("van der Berg^Jan", "vanderberg.dcm"),
    ],
)
def test_a_name_is_found(name, path):
    assert tells_name(path, name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Quagmire^Zebedee", "scans/slice-04.dcm"),
        ("van der Berg^Jan", "advanced/folder/under.dcm"),
        ("Lee^Ann", "sleeping/scanner/cleek.dcm"),
        ("Li^Wu", "slices/clip/swung.dcm"),
        ("Anonymous", "anonymous/1.dcm"),
        ("Test^Patient", "patient/test.dcm"),
        ("Dr^", "dr/1.dcm"),
        ("", "1.dcm"),
    ],
)
def test_what_is_no_name_is_not(name, path):
    assert not tells_name(path, name)


@pytest.mark.parametrize(
    "written",
    [
        "19610203",
        "1961-02-03",
        "1961_02_03",
        "1961/02/03",
        "1961.2.3",
        "03.02.1961",
        "3.2.1961",
        "03-02-1961",
        "02-03-1961",
        "2_3_1961",
        "03021961",
        "02031961",
        "610203",
        "030261",
        "020361",
        "03.02.61",
        "61-02-03",
        "3-Feb-1961",
        "03FEB1961",
        "Feb_3_1961",
        "February 3rd, 1961",
        "3. Februar 1961",
        "1961-Feb-03",
        "3 février 61",
        "3. feb. 1961",
        "pid77_19610203120000",
    ],
)
@pytest.mark.parametrize("stored", ["19610203", "1961.02.03", "19610203120000.000000"])
def test_a_date_is_found(written, stored):
    assert tells_date(f"scans/x_{written}_y.dcm", stored)


@pytest.mark.parametrize("path", ["1961.dcm", "slice-02-03.dcm", "1610203.dcm", "113.2.1961.dcm", "3-Mar-1961.dcm", ""])
def test_another_date_or_a_part_of_one_is_not(path):
    assert not tells_date(path, "19610203")


@pytest.mark.parametrize("stored", ["", "0000", "19611303", "unknown"])
def test_what_is_no_date_is_found_nowhere(stored):
    assert not tells_date("19611303 unknown 0000", stored)


@pytest.mark.parametrize(
    ("number", "path"),
    [
        ("PID-77031", "pid 77 031.dcm"),
        ("PID-77031", "PID77031_1.dcm"),
        ("PID-77031", "77031.dcm"),
        ("0007703155", "scan7703155.dcm"),
        ("7703155", "0007703155.dcm"),
        ("77 03 155", "7703155.dcm"),
        ("A12", "scans/A-12/1.dcm"),
        ("1.2.826.0.1.3680043.8.498.111222333", "1_2_826_0_1_3680043_8_498_111222333"),
        ("1.2.826.0.1.3680043.8.498.111222333", "IM-111222333.dcm"),
    ],
)
def test_a_number_is_found(number, path):
    assert tells_number(path, number)


@pytest.mark.parametrize(
    ("number", "path"),
    [
        ("1", "1.dcm"),
        ("123", "slice1234.dcm"),
        ("77031", "770312.dcm"),
        ("1.2.826.0.1.3680043.8.498.111222333", "1.2.826.0.1.3680043.8.498.999"),
        ("", "1.dcm"),
    ],
)
def test_a_part_of_another_number_is_not(number, path):
    assert not tells_number(path, number)


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("Saint Elsewhere Infirmary", "st_elsewhere/1.dcm"),
        ("Massachusetts General Hospital", "mgh/1.dcm"),
        ("Universitätsklinikum Tübingen", "tuebingen.dcm"),
        ("UNN Tromsø", "UNN-1.dcm"),
    ],
)
def test_an_institution_is_found(place, path):
    assert tells_place(path, place)


@pytest.mark.parametrize("path", ["hospital/1.dcm", "clinic 3/1.dcm", "department of radiology/1.dcm"])
def test_a_word_of_every_institution_is_not(path):
    assert not tells_place(path, "Hospital Elsewhere, Clinic of Radiology, Department 3")
