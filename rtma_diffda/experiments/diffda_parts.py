"""What the experiments of DiffDA are built from: archive, forecast model, denoisers, climatology, from files.

Nothing is given: the packaged sample of made-up weather with what was trained on such weather. ``data=STORE`` is
given: then so must be the forecast model and the denoisers of that weather; what is missing is told in one sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import (
    TrainedGraphCastDenoiser,
    graphcast_denoiser_from_checkpoint,
)
from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.diffda_settings import GlobalFiles
from rtma_diffda.experiments.diffda_store import ResultStore, fingerprint
from rtma_diffda.experiments.global_forecast import chosen_device, packaged_sample
from rtma_diffda.experiments.global_world import HOUR, GlobalWorld
from rtma_diffda.experiments.train_global_cycles import read_cycled_covariance
from rtma_diffda.fields.global_climatology import Climatology
from rtma_diffda.fields.global_layout import keys_of
from rtma_diffda.forecast.graphcast import GraphCastForecast
from rtma_diffda.forecast.graphcast_checkpoint import PUBLISHED_WEIGHTS, load_graphcast
from rtma_diffda.io.checkpoint import read_checkpoint, read_manifest
from rtma_diffda.io.global_climatology import open_climatology
from rtma_diffda.io.weatherbench import open_archive
from rtma_diffda.io.weatherbench_layout import WHERE_FROM
from rtma_diffda.resources import resource_directory

_TRAIN = "rtma-diffda train target=graphcast_denoiser globe.formulation={} globe.leads=[{}] …"
_ORIGINS: Mapping[str, str] = {
    "data": WHERE_FROM,
    "forecast_checkpoint": f"DeepMind's weights are in {PUBLISHED_WEIGHTS}; others are made by "
    "`rtma-diffda train target=graphcast_forecast …`",
    "denoiser_48h": f"it is trained on 48-h forecasts by `{_TRAIN.format('diffda', 48)}`",
    "denoiser_6h": f"it is trained on 6-h forecasts by `{_TRAIN.format('diffda', 6)}`",
    "denoiser": f"it is trained on both leads by `{_TRAIN.format('improved', '6,48')}`",
    "statistics": "mean_by_level.nc, stddev_by_level.nc and diffs_stddev_by_level.nc are in "
    "gs://dm_graphcast/graphcast/stats/",
    "climatology": "gs://weatherbench2/datasets/era5-hourly-climatology/ has some",
    "cycled_covariance": "it is fitted to cycles by `rtma-diffda train target=graphcast_cycles …`",
}
_PACKAGED = {
    "forecast_checkpoint": "graphcast_forecast",
    "denoiser_48h": "graphcast_denoiser_48h",
    "denoiser_6h": "graphcast_denoiser_6h",
    "denoiser": "graphcast_denoiser",
    "cycled_covariance": "graphcast_cycles",
}
_LONG, _SHORT = np.timedelta64(48, "h"), np.timedelta64(6, "h")


@dataclass(frozen=True)
class DiffdaParts:
    """Everything methods are made of.

    Attributes:
        world: truth and forecast model.
        published: denoisers of DiffDA's recipe, by the hours of the lead time.
        ours: the denoiser of both lead times; None: the published ones take its place.
        climatology: for kriging; None where none is known.
        identity: of each, by name; changes where its content does.
        device: where networks are computed.
        cycled: B of the backgrounds of cycles; None where it is not known.
    """

    world: GlobalWorld
    published: Mapping[float, TrainedGraphCastDenoiser] = field(repr=False)
    ours: TrainedGraphCastDenoiser | None = field(repr=False)
    climatology: Climatology | None
    identity: Mapping[str, str]
    device: torch.device
    cycled: SphereCovariance | None = field(default=None, repr=False)

    def diffda_denoiser(self, lead: np.timedelta64) -> TrainedGraphCastDenoiser:
        """DiffDA's, for backgrounds of a lead time.

        Raises:
            UsageError: there is none for 6-h backgrounds.
        """
        hours = float(lead / HOUR)
        found = min(self.published, key=lambda known: abs(known - hours))
        if abs(found - hours) > 24.0:
            raise UsageError(f"denoiser_{hours:g}h is not given; {_ORIGINS.get(f'denoiser_{hours:g}h', '')}")
        return self.published[found]

    def denoiser(self, lead: np.timedelta64) -> TrainedGraphCastDenoiser:
        """Ours; DiffDA's where it is not given."""
        return self.ours or self.diffda_denoiser(lead)


def load_parts(files: GlobalFiles, cache: Path, *, device: str = "cpu") -> DiffdaParts:
    """Open everything.

    Args:
        files: where it is.
        cache: directory for forecasts from the truth.
        device: where networks are computed.

    Raises:
        InputError: a file is missing, unreadable, or does not fit the others.
        UsageError: the device is unknown or not there.
    """
    files, on = _found(files), chosen_device(device)
    archive = open_archive(files.data)
    model = load_graphcast(files.forecast_checkpoint, static=archive.static, statistics=files.statistics, device=on)
    archive = archive.selected(keys_of(model.layout))
    names = {"48": files.denoiser_48h, "6": files.denoiser_6h}
    published = {float(hours): _denoiser(path, on) for hours, path in names.items() if path is not None}
    ours = None if files.denoiser is None else _denoiser(files.denoiser, on)
    climatology = None if files.climatology is None else open_climatology(files.climatology, keys=keys_of(model.layout))
    identity = {name: _identity(path) for name, path in vars(files).items() if path is not None}
    content = (archive.layout.grid.key, archive.valid_times[[0, -1]].tolist(), len(archive.valid_times))
    first = float(archive.state(archive.valid_times[0]).values.double().sum())
    store = ResultStore(cache, fingerprint(identity["data"], content, first, identity["forecast_checkpoint"]))
    world = GlobalWorld(archive, model, _change_std(model), store, source=f"{files.data}, {files.forecast_checkpoint}")
    cycled = None if files.cycled_covariance is None else read_cycled_covariance(Path(files.cycled_covariance)).to(on)
    return DiffdaParts(world, published, ours, climatology, identity, on, cycled)


def _found(files: GlobalFiles) -> GlobalFiles:
    """With what is packaged in the places that are left open; everything that must be there is there."""
    given = vars(files)
    if files.data is None:
        _require({name: path for name, path in given.items() if path is not None})
        packaged = {name: str(resource_directory("checkpoints") / folder) for name, folder in _PACKAGED.items()}
        packaged |= _sample()
        return GlobalFiles(**{name: path or packaged.get(name) for name, path in given.items()})
    needed = ["data", "forecast_checkpoint", "denoiser_48h"]
    if files.forecast_checkpoint is not None and files.forecast_checkpoint.endswith(".npz"):
        needed.append("statistics")
    _require({name: path for name, path in given.items() if path is not None or name in needed})
    return files


def _sample() -> dict[str, str]:
    """The packaged truth and its climatology."""
    store = packaged_sample()
    climatologies = sorted(store.parent.glob("climatology*"))
    return {"data": str(store)} | ({"climatology": str(climatologies[0])} if climatologies else {})


def _require(paths: Mapping[str, str | None]) -> None:
    lacking = [name for name, path in paths.items() if path is None]
    absent = [
        name for name, path in paths.items() if path is not None and "://" not in path and not Path(path).exists()
    ]
    if lacking:
        said = "; ".join(f"{name}=…: {_ORIGINS[name]}" for name in lacking)
        raise InputError(f"with data=… given, {', '.join(lacking)} must be given too ({said})")
    if absent:
        said = "; ".join(f"{name}={paths[name]} does not exist: {_ORIGINS[name]}" for name in absent)
        raise InputError(said)


def _denoiser(path: str, device: torch.device) -> TrainedGraphCastDenoiser:
    trained = graphcast_denoiser_from_checkpoint(read_checkpoint(Path(path)))
    trained.denoiser.to(device)
    covariances = {hours: covariance.to(device) for hours, covariance in trained.covariances.items()}
    return TrainedGraphCastDenoiser(trained.denoiser, covariances, trained.calibrations)


def _identity(path: str) -> str:
    """Of a checkpoint its manifest; of another file or store its name and, where there is one, its size."""
    place = Path(path)
    if (place / "manifest.json").is_file():
        return fingerprint(sorted((name, entry["sha256"]) for name, entry in read_manifest(place)["files"].items()))
    return fingerprint(place.name, place.stat().st_size if place.is_file() else 0)


def _change_std(model: GraphCastForecast) -> torch.Tensor:
    return model.network.change_std.flatten().cpu()
