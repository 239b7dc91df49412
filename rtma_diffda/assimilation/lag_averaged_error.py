"""B by lag: what a background-error covariance is on average over a grid, for domains too large for its modes.

    B̄(h) = mean over a of B(a, a + h)

keeps what terrain, coast and the background's values do to correlations on average, and forgets where; as the mean of
a covariance over shifts it is one again, but for the fewer pairs at long lags. a runs over some points, edges among
them. Lags of more than ``_MOST_LAGS`` spacings are left out, and the others tapered to 0 there (Gaspari and Cohn 1999).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, Places, covariance
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.sample_covariance import gaspari_cohn
from rtma_diffda.diffusion.stationary_covariance import StationaryCovariance
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem

_SIDE = 16
"""Points along a side, of those averaged over."""
_MOST_LAGS = 300


def lag_averaged_error(
    errors: Mapping[str, BackgroundError], problem: AssimilationProblem, static: StaticFields, scale: Tensor
) -> StationaryCovariance:
    """B̄ of every channel by itself, in units of s.

    Args:
        errors: B by variable (SI).
        problem: of one background member, whose values B may look at.
        static: terrain and land.
        scale: s (channel, 1, 1) SI.
    """
    surroundings, layout = Surroundings(problem, static), problem.background.layout
    reach = tuple(min(n - 1, _MOST_LAGS) for n in layout.grid.shape)
    table = torch.zeros(len(layout.names), len(layout.names), *(2 * m + 1 for m in reach))
    for channel, name in enumerate(layout.names):
        places, background = surroundings.of_grid(channel)
        seen = with_background(places, background[0])
        local = seen.relative_to(seen.position.mean(dim=0), torch.float32)
        averaged = _averaged(errors[name], local, layout.grid.shape, reach)
        table[channel, channel] = averaged / float(scale.flatten()[channel]) ** 2
    if _MOST_LAGS in reach:
        table *= _taper(reach)
    return StationaryCovariance(table, layout.grid.shape)


def _averaged(error: BackgroundError, places: Places, shape: tuple[int, int], reach: tuple[int, int]) -> Tensor:
    """(2 m_y + 1, 2 m_x + 1): the mean for lags of −m … m spacings."""
    (ny, nx), (m_y, m_x) = shape, reach
    total, count = torch.zeros(2 * ny - 1, 2 * nx - 1), torch.zeros(2 * ny - 1, 2 * nx - 1)
    columns = torch.linspace(0, nx - 1, _SIDE).round().long().unique()
    for y in torch.linspace(0, ny - 1, _SIDE).round().long().unique().tolist():
        rows = covariance(error, places.select(y * nx + columns), places).view(-1, ny, nx)
        for x, row in zip(columns.tolist(), rows, strict=True):
            around = slice(ny - 1 - y, 2 * ny - 1 - y), slice(nx - 1 - x, 2 * nx - 1 - x)
            total[around] += row
            count[around] += 1.0
    total, count = total + total.flip(0, 1), count + count.flip(0, 1)
    kept = slice(ny - 1 - m_y, ny + m_y), slice(nx - 1 - m_x, nx + m_x)
    return total[kept] / count[kept].clamp_min(1.0)


def _taper(reach: tuple[int, int]) -> Tensor:
    lags = [torch.arange(-m, m + 1, dtype=torch.float32) for m in reach]
    return gaspari_cohn(torch.hypot(lags[0][:, None], lags[1]), float(_MOST_LAGS))
