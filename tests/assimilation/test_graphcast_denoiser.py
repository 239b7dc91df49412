"""Slots of the published convention, the denoiser's formula on a Gaussian, and GraphCast's loss on noise."""

import numpy as np
import pytest
import torch
from global_denoising import FEW, LEADS, TIME, KnownBackbone, known_denoiser, land_of, pairs_of, statistics_of

from rtma_diffda.assimilation.global_formulation import DIFFDA, IMPROVED, GlobalFormulation, diffusion_time, told_lead
from rtma_diffda.assimilation.graphcast_denoiser import GraphCastDenoiser
from rtma_diffda.assimilation.residual_scale import ResidualScale
from rtma_diffda.backbones.graphcast.task import EARLIER, FORCINGS, LATER, TARGET, TASKS
from rtma_diffda.diffusion.schedules import linear_betas, noise_levels
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.global_forcings import global_forcings
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields

LEVELS = noise_levels(linear_betas())
OPERATIONAL = TASKS["GraphCast_operational"]
SIX, FORTY_EIGHT = LEADS


def state_of(denoiser, values=None):
    shape = (2, *denoiser.layout.shape)
    return State(torch.randn(shape, generator=torch.Generator().manual_seed(1)) if values is None else values,
                 denoiser.layout, TIME)  # fmt: skip


def expected_input(denoiser, noisy, sigma, background, *, year_sine):
    """Channel by channel from the task's list, as ``diffda.md`` §3 has it; ``year_sine`` by frame."""
    task, statistics, grid = denoiser.backbone.task, denoiser.statistics, denoiser.layout.grid
    place = {key: i for i, key in enumerate(task.prognostic)}
    forcings = dict(zip(FORCINGS, global_forcings(np.array([TIME]), grid)[0], strict=True))
    land = land_of(grid)
    fixed = {"geopotential_at_surface": 9.80665 * land.orography, "land_sea_mask": land.land_fraction}

    def normalised(values, key):
        return (values - statistics.mean[key]) / statistics.std[key]

    channels = []
    for channel in task.inputs:
        key = (channel.variable, channel.level)
        if channel.variable == "year_progress_sin":
            field = torch.full(grid.shape, float(year_sine[channel.frame]))
        elif channel.variable == "toa_incident_solar_radiation":
            field = normalised(forcings[channel.variable], key)
        elif channel.variable in FORCINGS:
            field = forcings[channel.variable]
        elif channel.variable in fixed:
            field = normalised(torch.from_numpy(fixed[channel.variable]), key)
        elif channel.frame == EARLIER:
            field = noisy[:, place[key]] / np.sqrt(1.0 + sigma**2)
        else:
            assert channel.frame == LATER
            field = normalised(background[:, place[key]], key)
        channels.append(field.expand(2, *grid.shape).float())
    return torch.stack(channels, dim=1)


def test_every_slot_of_the_operational_network_holds_what_diffda_puts_there():
    denoiser = known_denoiser(task=OPERATIONAL)
    state = state_of(denoiser)
    noisy = torch.randn(state.values.shape, generator=torch.Generator().manual_seed(2))
    t = 600
    sigma = LEVELS[t].float()
    context = denoiser.context_of(state, land_of(denoiser.layout.grid), lead=FORTY_EIGHT)
    denoiser(noisy, sigma.expand(2), context)
    told = 2 * t / 1000 - 1
    expected = expected_input(denoiser, noisy, float(sigma), state.values,
                              year_sine={EARLIER: told, LATER: told, TARGET: told})  # fmt: skip
    assert denoiser.network.seen.shape[1] == 181 and len(denoiser.layout.channels) == 82
    torch.testing.assert_close(denoiser.network.seen, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("lead", "told"), [(SIX, -1.0), (FORTY_EIGHT, 1.0), (np.timedelta64(1018, "m"), 0.0)])
def test_the_improved_formulation_is_told_the_lead_time_at_the_target_time(lead, told):
    denoiser = known_denoiser(formulation=IMPROVED)
    state = state_of(denoiser)
    context = denoiser.context_of(state, land_of(denoiser.layout.grid), lead=lead)
    denoiser(torch.zeros_like(state.values), torch.tensor([0.1, 10.0]), context)
    places = {channel.frame: i for i, channel in enumerate(FEW.inputs) if channel.variable == "year_progress_sin"}
    seen = denoiser.network.seen
    for frame in (EARLIER, LATER):
        torch.testing.assert_close(seen[:, places[frame], 0, 0], torch.tensor([0.1, 10.0]).log() / 4)
    assert seen[:, places[TARGET]].flatten().tolist() == pytest.approx([told] * seen[:, 0].numel(), abs=1e-3)


def test_time_features_are_normalised_where_the_newer_inference_is_wanted():
    raw, newer = (known_denoiser(formulation=GlobalFormulation(normalised_time=wanted)) for wanted in (False, True))
    state, land = state_of(raw), land_of(raw.layout.grid)
    first = len(raw.layout.channels) + 1
    one, other = (d.context_of(state, land, lead=SIX)[:, first : first + 4] for d in (raw, newer))
    keys = [(name, None) for name in FORCINGS[1:]]
    mean, std = (f(keys)[:, None, None] for f in (raw.statistics.mean_of, raw.statistics.std_of))
    torch.testing.assert_close(other, (one - mean) / std)


def test_diffusion_time_is_the_step_that_has_the_noise_level():
    steps = torch.arange(1000)
    torch.testing.assert_close(diffusion_time(LEVELS.float()), 2 * steps / 1000 - 1, rtol=0, atol=1e-5)
    between = (LEVELS[700] * LEVELS[701]).sqrt().float()
    assert float(diffusion_time(between[None])) == pytest.approx(2 * 700.5 / 1000 - 1, abs=1e-5)
    assert diffusion_time(torch.tensor([1e-5, 1e4])).tolist() == pytest.approx([-1.0, 2 * 999 / 1000 - 1])


@pytest.mark.parametrize("formulation", [DIFFDA, IMPROVED])
@pytest.mark.parametrize("sigma", [0.02, 0.5, 3.0, 30.0])
def test_with_the_exact_network_of_a_gaussian_the_denoiser_is_its_posterior_mean(formulation, sigma):
    """r ~ N(0, v): the best answer is ε = σ r_σ / (v + σ²), or EDM's target of v r_σ / (v + σ²)."""
    v, channels = 0.3, [(c.variable, c.level, c.frame) for c in FEW.inputs]
    earlier = [channels.index((*key, EARLIER)) for key in FEW.prognostic]
    into = (1.0 + sigma**2) ** -0.5
    best = v / (v + sigma**2)
    gain = sigma / (v + sigma**2) if formulation is DIFFDA else (best - into**2) / (sigma * into)

    def answer(values):
        return gain / into * values[:, earlier]

    denoiser = known_denoiser(answer, formulation=formulation)
    state = state_of(denoiser)
    noisy = torch.randn(state.values.shape, generator=torch.Generator().manual_seed(2))
    context = denoiser.context_of(state, land_of(denoiser.layout.grid), lead=SIX)
    denoised = denoiser(noisy, torch.full((2,), sigma), context)
    torch.testing.assert_close(denoised, best * noisy, rtol=1e-4, atol=2e-5)


def test_the_loss_is_graphcasts_on_noise():
    """With an answer of 0 the error is ε itself: Σ over variables of means weighted by area and pressure."""
    denoiser = known_denoiser()
    batch = pairs_of(denoiser)
    examples = denoiser.prepare(batch, generator=torch.Generator().manual_seed(5))
    loss, figures = denoiser.loss(batch, generator=torch.Generator().manual_seed(5))
    rows = np.cos(np.deg2rad(denoiser.layout.grid.latitudes))
    squares = (examples.noise.numpy() ** 2 * (rows / rows.mean())[:, None]).mean(axis=(0, 2, 3))
    t2m, z500, z850, msl = (squares[FEW.prognostic.index(key)] for key in
                            (("2m_temperature", None), ("geopotential", 500), ("geopotential", 850),
                             ("mean_sea_level_pressure", None)))  # fmt: skip
    expected = t2m + 0.1 * msl + (500 / 675 * z500 + 850 / 675 * z850) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    assert figures["loss_z"] == pytest.approx((z500 + z850) / 2, rel=1e-4)
    torch.testing.assert_close(examples.clean, (batch.truth - batch.background) / denoiser.scale.of(LEADS))
    steps = (diffusion_time(examples.sigma) + 1) * 500
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-2)


def test_edms_loss_of_a_network_that_knows_nothing_is_the_spread_of_its_target():
    """With F = 0 and r ~ N(0, 1), the target (r − c_skip r_σ) / c_out has variance 1 at every noise level."""
    denoiser = known_denoiser(formulation=IMPROVED)
    generator = torch.Generator().manual_seed(0)
    losses = [denoiser.loss(pairs_of(denoiser, seed=i), generator=generator)[1]["loss_z"] for i in range(60)]
    assert np.mean(losses) == pytest.approx(1.0, abs=0.03)


def test_the_published_precipitation_target_adds_noise_that_is_never_seen():
    plain, taught = (known_denoiser(task=OPERATIONAL, formulation=DIFFDA.with_precipitation_target(w)) for w in (0, 1))
    batch = pairs_of(plain)
    losses = [float(d.loss(batch, generator=torch.Generator().manual_seed(5))[0]) for d in (plain, taught)]
    examples = taught.prepare(batch, generator=torch.Generator().manual_seed(5))
    rows = np.cos(np.deg2rad(plain.layout.grid.latitudes))
    unseen = (examples.unseen_noise.numpy() ** 2 * (rows / rows.mean())[:, None]).mean()
    assert losses[1] - losses[0] == pytest.approx(0.1 * unseen, rel=1e-3)
    with pytest.raises(UsageError, match="a precipitation target is noise"):
        IMPROVED.with_precipitation_target(True)


def test_scales_are_of_their_lead_time_and_powers_of_it_between():
    scale = ResidualScale((6.0, 48.0), torch.tensor([[1.0, 10.0], [8.0, 20.0]]))
    hours = np.array([3, 6, 24, 48, 72], "timedelta64[h]")
    expected = [[1.0, 10.0], [1.0, 10.0], [4.0, 10.0 * 2 ** (2 / 3)], [8.0, 20.0], [8.0, 20.0]]
    torch.testing.assert_close(scale.of(hours)[:, :, 0, 0], torch.tensor(expected))
    of_squares = ResidualScale.of_residuals({48: torch.tensor([64.0, 400.0]), 6: torch.tensor([1.0, 100.0])})
    assert torch.equal(of_squares.values, scale.values) and of_squares.hours == scale.hours
    statistics = statistics_of(FEW)
    assert ResidualScale.changes(statistics, FEW.prognostic, 48).of(SIX).flatten().tolist() == pytest.approx(
        [statistics.change_std[key] for key in FEW.prognostic]
    )
    with pytest.raises(InputError, match="positive and finite"):
        ResidualScale((6.0,), torch.tensor([[0.0]]))
    with pytest.raises(UsageError, match="above 0"):
        told_lead(np.array([0], "timedelta64[h]"))


def test_wrong_backgrounds_and_networks_are_refused():
    denoiser = known_denoiser()
    bare = StaticFields(denoiser.layout.grid, source="a bare globe")
    with pytest.raises(InputError, match="needs terrain and land; 'a bare globe' lacks"):
        denoiser.context_of(state_of(denoiser), bare, lead=SIX)
    other = known_denoiser(task=OPERATIONAL)
    with pytest.raises(UsageError, match="the denoiser is of 4 channels"):
        denoiser.context_of(state_of(other), land_of(other.layout.grid), lead=SIX)
    with pytest.raises(UsageError, match="a scale of 1 channels; the denoiser has 4"):
        GraphCastDenoiser(KnownBackbone(), statistics_of(FEW), ResidualScale((6.0,), torch.ones(1, 1)))
    with pytest.raises(UsageError, match="noise_feature is 'step'; it may be schedule, logarithm"):
        GlobalFormulation(noise_feature="step")
