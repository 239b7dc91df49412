"""Model cards: what a checkpoint is for, what it was trained on, and what it cannot do."""

from collections.abc import Mapping
from typing import Any

_PURPOSE: Mapping[str, str] = {
    "unet_regression": (
        "An analysis of 2 m temperature, 2 m dew point, 10 m wind and surface pressure from a background and station "
        "reports, in one evaluation: the conditional mean, with a calibrated standard deviation of its error."
    ),
    "background_correction": (
        "A correction of a background that looks at no observation: what can be known of its error from the background "
        "itself, terrain, coast and time of day."
    ),
    "denoiser": (
        "The denoiser of the diffusion engine: ensembles of analyses of 2 m temperature, 2 m dew point, 10 m wind and "
        "surface pressure. Without observations in its channels it is the prior given the background, which `kalman` "
        "and other conditionings steer; with them it is conditioned on them. One with a mesh is told the state of a "
        "global run as well, and does without where there is none."
    ),
}
_LOSS: Mapping[str, str] = {"denoiser": "denoising loss: 1 is knowing nothing, every noise level weighs the same"}


def model_card(target: str, provenance: Mapping[str, Any]) -> str:
    """The card in Markdown.

    Args:
        target: what was trained.
        provenance: as in the checkpoint's manifest.
    """
    data, progress = provenance["data_set"], provenance["progress"]
    grid = data["grid"]
    loss, before = progress.get("best_loss"), _before(provenance)
    return f"""# {target}

{_PURPOSE[target]}

## Trained on

Simulated weather: data set {data["name"]}, seed {data["seed"]}, {provenance["splits"]["train"]} training runs of
{data["hours"]} h ({provenance["members"]} pairs), each with its own terrain, on {grid[2]} × {grid[1]} points of
{grid[3] / 1000:g} km; {provenance["splits"]["validation"]} validation runs chose the weights, the interpolation among
the inputs and the calibration. Networks of stations were drawn anew for every member of every batch: 10 to 300
stations, observation errors 0.05 to 2 times the default.

{progress["update"]} updates in {_effort(provenance)}{before}; best validation loss \
{"not measured" if loss is None else f"{loss:.4f}"} ({_LOSS.get(target, "squared error in units of the background")}).

The command, which also goes on with a training that was interrupted:

    {provenance["command"]}

## Judged

By `rtma-diffda compare experiment=osse_small seed=N`, on truth, terrain and stations that it has not seen; figures in
`validation/README.md`.

## Limits

It has seen simulated weather only, one grid spacing, and one kind of background error. On real weather it is untested:
compare it with optimal interpolation at withheld stations before use. Other spacings, variables or winter weather need
a training of their own.
"""


def _effort(provenance: Mapping[str, Any]) -> str:
    """Time and machine."""
    progress, machine = provenance["progress"], provenance["machine"]
    if machine["device"] == "cpu" and not machine["workers"]:
        return f"{progress['cpu_seconds'] / 60:.1f} CPU-minutes"
    return f"{progress['seconds'] / 60:.1f} minutes on {machine['device']}, {machine['workers']} workers"


def _before(provenance: Mapping[str, Any]) -> str:
    """What the weights had gone through before this training, latest first."""
    initial = provenance.get("initial")
    if not initial:
        return ""
    data, updates = initial["data_set"], initial["progress"]["update"]
    return (
        f", begun with weights of an earlier training ({updates} updates in {_effort(initial)}, on data set "
        f"{data['name']}, seed {data['seed']}){_before(initial)}"
    )
