"""Single groups: what each word of a METAR body means, and what MetPy makes of it."""

import math

import numpy as np
import pytest

from rtma_diffda.observations.ingest.metar_bodies import read_body
from rtma_diffda.observations.ingest.metar_decoding import KINDS, decode_groups
from rtma_diffda.observations.ingest.metar_groups import KNOT, Group, groups_of
from rtma_diffda.observations.ingest.metar_remarks import refine_temperatures, sea_level_pressures
from rtma_diffda.observations.ingest.metar_sky import Layer, describe_sky
from rtma_diffda.observations.ingest.metar_times import resolve_times


def value_of(word):
    """MetPy's numbers of a word that holds one group, in SI for wind and visibility."""
    (group,) = groups_of(word)
    values = getattr(decode_groups([group]), group.kind)[group.text]
    if group.kind == "wind":
        return (values[0], values[1] * group.scale, values[2] * group.scale)
    return tuple(value * group.scale for value in values) if group.kind == "visibility" else values


@pytest.mark.parametrize(
    ("word", "direction", "speed", "gust"),
    [
        ("18010KT", 180, 10 * KNOT, math.nan),
        ("18010G25KT", 180, 10 * KNOT, 25 * KNOT),
        ("00000KT", 0, 0, math.nan),
        ("VRB03KT", math.nan, 3 * KNOT, math.nan),
        ("///03KT", math.nan, 3 * KNOT, math.nan),
        ("24005MPS", 240, 5.0, math.nan),
        ("24005G11MPS", 240, 5.0, 11.0),
        ("09036KMH", 90, 10.0, math.nan),
        ("240105G120KT", 240, 105 * KNOT, 120 * KNOT),
        ("09013GKT", 90, 13 * KNOT, math.nan),
        ("35006KT(E)", 350, 6 * KNOT, math.nan),
    ],
)
def test_winds(word, direction, speed, gust):
    np.testing.assert_allclose(value_of(word), (direction, speed, gust), rtol=1e-12)


def test_a_wind_beyond_the_scale_is_a_lower_bound():
    assert groups_of("120P99KT")[0].bound == 1


@pytest.mark.parametrize(
    ("word", "metres", "bound"),
    [
        ("10SM", 16093.44, 0), ("P6SM", 9656.064, 1), ("M1/4SM", 402.336, -1), ("1/16SM", 100.584, 0),
        ("1 3/4SM", 2816.352, 0), ("13/4SM", 2816.352, 0), ("0SM", 0.0, 0), ("9999", 10000.0, 1), ("0000", 50.0, -1),
        ("9999NDV", 10000.0, 1), ("CAVOK", 10000.0, 1), ("0350", 350.0, 0), ("30KM", 30000.0, 0), ("10KM", 10000.0, 1),
        ("4000SE", 4000.0, 0),
    ],
)  # fmt: skip
def test_visibilities(word, metres, bound):
    assert value_of(word)[0] == pytest.approx(metres)
    assert groups_of(word)[0].bound == bound


@pytest.mark.parametrize(
    ("word", "air", "dew_point"),
    [
        ("21/20", 21, 20), ("M01/M11", -1, -11), ("M00/M00", 0, 0), ("05/", 5, math.nan), ("//12/", None, None),
        ("27/M", 27, math.nan), ("///05", math.nan, 5), ("05///", 5, math.nan), ("23/-1", 23, -1), ("91/97", 91, 97),
    ],
)  # fmt: skip
def test_temperatures(word, air, dew_point):
    if air is None:
        assert groups_of(word)[0].kind == "unread"
    else:
        np.testing.assert_allclose(value_of(word), (air, dew_point), atol=1e-12)


@pytest.mark.parametrize(
    ("word", "inches"),
    [("A2992", 29.92), ("Q1013", 29.9135), ("Q998", 29.4706), ("Q1 020", 30.1202), ("Q101 6", 30.0021),
     ("QNH2992INS", 29.92), ("QNH1013", 29.9135), ("Q 1013", 29.9135)],
)  # fmt: skip
def test_altimeters(word, inches):
    assert value_of(word)[0] == pytest.approx(inches, abs=1e-3)


@pytest.mark.parametrize(
    ("word", "layer"),
    [("FEW020", ("FEW", 2000)), ("BKN015CB", ("BKN", 1500)), ("OVC012///", ("OVC", 1200)), ("VV001", ("VV", 100)),
     ("VV///", ("VV", math.nan)), ("OVC", ("OVC", math.nan)), ("FEW0252", ("FEW", math.nan)),
     ("CLR", ("CLR", math.nan)), ("SCT///CB", ("SCT", math.nan))],
)  # fmt: skip
def test_sky_groups(word, layer):
    cover, base = value_of(word)
    assert cover == layer[0]
    np.testing.assert_equal(base, layer[1])


@pytest.mark.parametrize(
    "word",
    ["-SHRA", "+TSRAGR", "VCTS", "NSW", "030V090", "R09R/P2000FT", "R30/090070", "W15/S4", "BLU+", "RE//", "//",
     "//////CB", "/////KT", "////SM", "A////", "M", "RF00.0/000.0", "REFZRA"],
)  # fmt: skip
def test_words_without_a_value_are_known(word):
    assert groups_of(word)[0].kind == "ignored"


@pytest.mark.parametrize("word", ["1801KT", "280KT", "BN080", "Q12", "5/3", "11/16SM", "SIROCCO", "?", "1/2", "99/999"])
def test_words_with_more_than_one_reading_are_held_back(word):
    assert groups_of(word)[0].kind == "unread"


def test_glued_groups_are_parted():
    assert [group.text for group in groups_of("NSCM01/M01")] == ["NSC", "M01/M01"]
    assert [group.text for group in groups_of("BKN02012/10Q1013")] == ["BKN020", "12/10", "Q1013"]


def test_long_words_cost_no_time():
    for word in ("-RE" * 5000, "RASN" * 5000 + "X", "FEW020" * 5000, "/" * 100000, "R09/" * 9000):
        groups_of(word)


def test_a_group_that_metpy_refuses_costs_itself_only():
    groups = [Group("wind", "nonsense7"), Group("visibility", "10SM"), Group("temperature", "21/20")]
    decoded = decode_groups(groups)
    assert decoded.refused == {"nonsense7"}
    assert math.isnan(decoded.wind["nonsense7"][1])
    assert decoded.visibility["10SM"] == (pytest.approx(16093.44),)
    assert decoded.temperature["21/20"] == (21.0, 20.0)


def test_kinds_of_different_numbers_share_carriers():
    groups = [Group("wind", f"{d:03d}10KT") for d in range(0, 360, 10)] + [
        Group("sky", "VV001"),
        Group("altimeter", "A2992"),
    ]
    decoded = decode_groups(groups)
    assert [decoded.wind[group.text][0] for group in groups[:36]] == list(range(0, 360, 10))
    assert set(KINDS) == {"wind", "visibility", "sky", "temperature", "altimeter"}


def test_a_strange_word_does_not_lose_what_follows():
    body = read_body("10SM 18010KT XYZZY P6SM BKN020 21/20 A2992 RMK AO2 SLP134 T02110203")
    assert (body.wind.text, body.visibility.text, body.temperature.text, body.altimeter.text) == (
        "18010KT", "10SM", "21/20", "A2992",
    )  # fmt: skip
    assert body.unread == ("XYZZY",)
    assert (body.sea_level, body.tenths) == ("134", ("0211", "0203"))
    assert "groups in another order than the code's" in body.repairs


@pytest.mark.parametrize("trend", ["BECMG 27025G35KT 0500 OVC001", "BLU 27015KT 9999 BKN001", "TEMPO 0500 OVC001"])
def test_a_trend_is_not_the_observation(trend):
    body = read_body(f"25017KT 9999 SCT040 18/07 Q1009 {trend}")
    assert body.wind.text == "25017KT"
    assert [group.text for group in body.sky] == ["SCT040"]


def test_corrections_are_ranked():
    ranks = [read_body(f"{word} 18010KT").correction for word in ("", "AUTO", "COR", "CCA", "CCB")]
    assert ranks == [0, 0, 1, 1, 2]


def test_a_runway_sector_visibility_does_not_replace_the_prevailing_one():
    assert read_body("01002KT 3000 0800S R17L/2000N NSC 01/01 Q1022").visibility.text == "3000"


def layers(*pairs):
    return [Layer(cover, base) for cover, base in pairs]


@pytest.mark.parametrize(
    ("sky", "ceiling", "unlimited", "cover"),
    [
        (layers(("FEW", 300.0), ("BKN", 600.0), ("OVC", 900.0)), 600.0, False, 1.0),
        (layers(("FEW", 300.0), ("SCT", 600.0)), math.nan, True, 3.5 / 8),
        (layers(("VV", 30.0)), 30.0, False, 1.0),
        (layers(("VV", math.nan)), math.nan, False, 1.0),
        (layers(("CLR", math.nan)), math.nan, True, 0.0),
        (layers(("FEW", 300.0), ("///", 450.0)), math.nan, False, math.nan),
        (layers(("///", 450.0), ("BKN", 600.0)), math.nan, False, math.nan),
        (layers(("BKN", 600.0), ("///", 900.0)), 600.0, False, math.nan),
        (layers(("BKN", 600.0)), 600.0, False, 6 / 8),
        ([], math.nan, False, math.nan),
    ],
)
def test_ceiling_and_cover(sky, ceiling, unlimited, cover):
    described = describe_sky(sky, cavok=False)
    np.testing.assert_equal((described.ceiling, described.cover), (ceiling, cover))
    assert described.unlimited is unlimited


def test_words_for_a_clear_sky_are_lower_bounds_but_skc():
    assert [describe_sky(layers((word, math.nan)), cavok=False).bound for word in ("SKC", "CLR", "NSC", "NCD")] == [
        0,
        1,
        1,
        1,
    ]
    cavok = describe_sky([], cavok=True)
    assert (cavok.clear, cavok.unlimited, cavok.cover, cavok.bound) == ("CAVOK", True, 0.0, 1)


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("011155", "2019-07-01T12:00", "2019-07-01T11:55"),
        ("302355", "2019-07-01T00:15", "2019-06-30T23:55"),  # the month before
        ("010005", "2019-06-30T23:45", "2019-07-01T00:05"),  # the month after
        ("312355", "2020-01-01T00:00", "2019-12-31T23:55"),  # the year before
        ("290600", "2024-02-28T12:00", "2024-02-29T06:00"),
        ("290600", "2023-03-01T00:00", "2023-03-29T06:00"),  # no such day in that February
        ("031200", "2019-07-01T12:00", "2019-07-03T12:00"),  # two days ahead keeps its own time
        ("320000", "2019-07-01T12:00", "NaT"),
        ("012460", "2019-07-01T12:00", "NaT"),
        ("001200", "2019-07-01T12:00", "NaT"),
        ("", "2019-07-01T12:00", "NaT"),
    ],
)
def test_times(text, reference, expected):
    time = resolve_times([text], np.datetime64(reference, "ns"))
    assert time.dtype == "datetime64[ns]"
    np.testing.assert_array_equal(time, np.array([expected], "datetime64[ns]"))


def test_tenths_replace_whole_degrees_unless_they_contradict():
    whole = np.array([-1.0, 0.0, 24.0, np.nan, 10.0])
    values, used = refine_temperatures(whole, ["1011", "1004", "0300", "0155", ""])
    np.testing.assert_allclose(values, [-1.1, -0.4, 24.0, 15.5, 10.0])
    assert used.tolist() == [True, True, False, True, False]


@pytest.mark.parametrize(
    ("digits", "altimeter", "elevation", "expected"),
    [
        ("162", 1016.0, 100.0, 1016.2),
        ("982", 1002.0, 100.0, 998.2),
        ("520", 1045.0, 100.0, 1052.0),  # Siberia in winter: the rule of 500 would give 952.0
        ("520", 955.0, 100.0, 952.0),  # and the centre of a deep low
        ("135", 1029.8, 2576.0, 1013.5),
        ("759", 1018.0, 440.0, np.nan),  # garbled: 975.9 and 1075.9 are both far
        ("982", np.nan, 100.0, 998.2),
        ("162", np.nan, np.nan, 1016.2),
        ("", 1013.0, 0.0, np.nan),
    ],
)
def test_sea_level_pressures(digits, altimeter, elevation, expected):
    np.testing.assert_allclose(sea_level_pressures([digits], np.array([altimeter]), np.array([elevation])), [expected])
