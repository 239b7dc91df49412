import pytest
import torch

from rtma_diffda.diffusion.conditioning.evidence import Evidence, Stencil
from rtma_diffda.diffusion.conditioning.kalman import Kalman
from rtma_diffda.diffusion.conditioning.low_rank_gain import LowRankGain, Modes
from rtma_diffda.errors import UsageError

SHAPE, POINTS = (2, 5, 6), 30


def modes_of(k: int = 30, seed: int = 0) -> Modes:
    generator = torch.Generator().manual_seed(seed)
    vectors, _ = torch.linalg.qr(torch.randn(POINTS, k, generator=generator, dtype=torch.float64))
    variance = torch.linspace(0.1, 4.0, k, dtype=torch.float64)
    return Modes(vectors * variance.sqrt(), variance, torch.zeros(POINTS, dtype=torch.float64))


def evidence_of(channel: list[int], seed: int = 1, error: float = 0.5) -> Evidence:
    generator = torch.Generator().manual_seed(seed)
    n = len(channel)
    points = torch.randint(0, POINTS, (n, 4), generator=generator)
    weights = torch.rand(n, 4, generator=generator, dtype=torch.float64)
    stencil = Stencil(torch.tensor(channel, dtype=torch.int64), points, weights)

    def equivalents(r: torch.Tensor) -> torch.Tensor:
        flat = r.double().flatten(2)
        return torch.stack([(flat[:, c, p] * w).sum(-1) for c, p, w in zip(channel, points, weights, strict=True)], 1)

    value = torch.randn(n, generator=generator, dtype=torch.float64)
    return Evidence(equivalents, value, torch.full((n,), error, dtype=torch.float64), stencil)


def dense_increment(modes: Modes, evidence: Evidence, rows: list[int], departures: torch.Tensor, sigma: float):
    B = modes.fields @ modes.fields.T + torch.diag(modes.rest)
    eye = torch.eye(POINTS, dtype=torch.float64)
    C = B - B @ torch.linalg.solve(B + sigma**2 * eye, B)
    H = torch.zeros(len(rows), POINTS, dtype=torch.float64)
    for i, row in enumerate(rows):
        H[i].index_add_(0, evidence.stencil.points[row], evidence.stencil.weights[row])
    S = H @ C @ H.T + torch.diag(evidence.error_std[rows].square())
    return departures[:, rows] @ torch.linalg.inv(S) @ H @ C


@pytest.mark.parametrize("sigma", [0.05, 0.7, 30.0])
def test_equals_the_dense_formula(sigma):
    modes, evidence = [modes_of(seed=0), modes_of(12, seed=3)], evidence_of([0, 1, 0, 1, 0, 0])
    departures = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = LowRankGain.of(modes, evidence)(departures, sigma, torch.zeros(3, *SHAPE, dtype=torch.float64))
    for channel, rows in ((0, [0, 2, 4, 5]), (1, [1, 3])):
        expected = dense_increment(modes[channel], evidence, rows, departures, sigma)
        torch.testing.assert_close(found[:, channel].flatten(1), expected, rtol=0, atol=1e-9)


def test_channel_without_data_stays_and_no_data_at_all_is_the_prior():
    modes = [modes_of(seed=0), modes_of(seed=3)]
    at = torch.ones(2, *SHAPE, dtype=torch.float64)
    only_first = evidence_of([0, 0])
    assert float(LowRankGain.of(modes, only_first)(only_first.departures(at), 1.0, at)[:, 1].abs().max()) == 0.0
    none = evidence_of([])

    def denoiser(noisy, sigma, context):
        return 0.5 * noisy

    kalman = Kalman(none, LowRankGain.of(modes, none))
    assert torch.equal(kalman.denoise(denoiser, at, torch.ones(2), at), 0.5 * at)
    assert kalman.replace(at, torch.ones(2), torch.Generator()) is at


@pytest.mark.parametrize("error", [1e-6, 1e6])
@pytest.mark.parametrize("value", [1.0, 1e9])
def test_perfect_useless_and_absurd_data_stay_finite(error, value):
    modes, evidence = [modes_of(8), modes_of(8)], evidence_of([0, 0, 0, 1], error=error)
    departures = torch.full((1, 4), value, dtype=torch.float64)
    found = LowRankGain.of(modes, evidence)(departures, 1.0, torch.zeros(1, *SHAPE, dtype=torch.float64))
    assert bool(torch.isfinite(found).all())
    if error > 1.0:
        assert float(found.abs().max()) < 1e-9 * value


def test_variance_beside_the_modes_counts_as_error_of_the_data():
    modes, evidence = modes_of(6), evidence_of([0, 0, 0])
    more = Modes(modes.fields, modes.variance, torch.full((POINTS,), 3.0, dtype=torch.float64))
    departures, at = torch.ones(1, 3, dtype=torch.float64), torch.zeros(1, *SHAPE, dtype=torch.float64)
    trusting, doubting = (LowRankGain.of([m, m], evidence)(departures, 1.0, at) for m in (modes, more))
    assert float(doubting.norm()) < float(trusting.norm())


def test_data_without_rows_are_refused():
    evidence = evidence_of([0])
    with pytest.raises(UsageError, match="use a dense one"):
        LowRankGain.of([modes_of()], Evidence(evidence.equivalents, evidence.value, evidence.error_std))
