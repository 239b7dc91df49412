"""Model cards of global models: what a checkpoint is for, what it was trained on, and what it cannot do."""

from collections.abc import Mapping
from typing import Any

_FORMULATIONS = {
    "diffda": "as published (DiffDA): the network answers the noise; s is the deviation of 6-hour changes",
    "improved": "EDM's preconditioning; s is the residuals' own deviation at each lead time, which the network is told",
}


def forecast_card(provenance: Mapping[str, Any]) -> str:
    """The card in Markdown; ``provenance`` as in the checkpoint's manifest."""
    return f"""# graphcast_forecast

The weather of the globe six hours on, from two states six hours apart: a small GraphCast network.

{_trained(provenance)}

The loss is GraphCast's: squared errors in units of 6-hour changes, weighted by area, pressure and variable, mean over
{provenance["rollout"]} step(s).

## Limits

It knows the weather of its archives only: simulated weather is not the Earth's. It is a test bed of the method, no
forecast model for use.
"""


def denoiser_card(provenance: Mapping[str, Any]) -> str:
    """The card in Markdown; ``provenance`` as in the checkpoint's manifest."""
    leads = " and ".join(str(lead) for lead in provenance["lead_hours"])
    return f"""# graphcast_denoiser

The prior of what a global forecast of {leads} hours is wrong by, given the forecast: a denoiser that diffusion analyses
draw from. Formulation: {_FORMULATIONS[provenance["formulation"]]}.

{_trained(provenance)}

The loss is GraphCast's weighted sum over variables, of the errors of the network's answer. With the weights comes the
covariance of residuals on pairs of the validation period, which the Kalman gain uses.

## Limits

It knows the errors of one forecast model on the weather of its archives, of forecasts that begin with true states.
"""


def _trained(provenance: Mapping[str, Any]) -> str:
    data, progress = provenance["data_set"], provenance["progress"]
    learned, judged = (" to ".join(provenance["splits"][split]) for split in ("train", "validation"))
    rows, columns = data["grid"]
    loss, initial = progress.get("best_loss"), provenance.get("initial")
    begun = "" if not initial else " It began with the weights of an earlier training."
    return f"""## Trained on

{", ".join(data["archives"])}: {len(data["channels"])} channels on {rows} × {columns} points, valid
{learned}; the weights were chosen on {judged}.
{progress["update"]} updates in {progress["cpu_seconds"] / 60:.1f} CPU-minutes; best validation loss
{"not measured" if loss is None else f"{loss:.4f}"}.{begun}

The command, which also goes on with a training that was interrupted:

    {provenance["command"]}"""
