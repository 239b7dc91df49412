import torch

from rtma_diffda.fields.departures import at_sea_level, departure
from rtma_diffda.geo.height import pressure_ratio

HEIGHT = torch.tensor([[[0.0, 1000.0]]], dtype=torch.float64)


def test_air_at_sea_level():
    field = torch.tensor([[[280.0, 280.0]]], dtype=torch.float64)
    torch.testing.assert_close(at_sea_level(field, HEIGHT, "t2m"), torch.tensor([[[280.0, 286.5]]]).double())
    torch.testing.assert_close(at_sea_level(field, HEIGHT, "d2m"), torch.tensor([[[280.0, 281.8]]]).double())
    torch.testing.assert_close(at_sea_level(field, HEIGHT, "u10m"), field)
    ratio = float(pressure_ratio(0.0, 1000.0))
    torch.testing.assert_close(at_sea_level(field, HEIGHT, "sp")[0, 0, 1], field[0, 0, 1] / ratio)


def test_departures_are_of_the_mean_and_of_typical_size():
    field = torch.tensor([[[280.0, 279.5]]], dtype=torch.float64)
    torch.testing.assert_close(departure(field, HEIGHT, "t2m"), torch.tensor([[[-1.0, 1.0]]]).double())
    torch.testing.assert_close(departure(field, HEIGHT, "u10m"), field / 4.0)
