import numpy as np

from rtma_diffda.geo.sun import declination_of, sun_height


def test_the_sun_stands_overhead_on_the_tropic_at_the_solstice():
    noon = np.array(["2026-06-21T12:00"], "datetime64[ns]")
    assert abs(np.rad2deg(declination_of(noon)[0]) - 23.44) < 0.02
    heights = sun_height(noon, np.array([23.44, 23.44 + 60.0, 23.44 - 100.0]), np.zeros(3))
    np.testing.assert_allclose(heights, [[1.0, 0.5, 0.0]], atol=1e-3)


def test_hours_are_the_suns_at_the_place():
    """On the equator at the equinox the height is the cosine of the hour angle; 90° east is six hours ahead."""
    times = np.array(["2026-03-21T06:00", "2026-03-21T10:00", "2026-03-21T20:00"], "datetime64[ns]")
    heights = sun_height(times, np.zeros((1, 2)), np.array([[0.0, 90.0]]))
    assert heights.shape == (3, 1, 2)
    np.testing.assert_allclose(heights[:, 0], [[0.0, 1.0], [0.866, 0.5], [0.0, 0.0]], atol=0.01)
