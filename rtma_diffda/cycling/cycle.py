"""One cycle as prose: ``run_cycle``. Everything that it needs is a ``System``, built once.

A cycle ends with a product, which says by itself what is less than usual about it, or with a refusal: an ``InputError``
whose sentence says why. What does not depend on earlier analyses is *gathered* apart, so that it can be done while the
cycle before is still at work.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch

from rtma_diffda.cycling.case import Case, CaseSources, feedback, limited, seeded
from rtma_diffda.cycling.departures import departures_of, in_provenance
from rtma_diffda.cycling.first_guess import CYCLED, Asked, FirstGuess, Guess
from rtma_diffda.cycling.history import History
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.cycling.reading import ONE_READER
from rtma_diffda.cycling.reports import Reports, ReportSource
from rtma_diffda.cycling.schedule import Stream
from rtma_diffda.cycling.stages import Stages
from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary, BoundaryNeed
from rtma_diffda.interfaces import Analysis, AnalysisMethod, BoundarySource
from rtma_diffda.io.product import Product
from rtma_diffda.times import Window, format_time

_HOUR = np.timedelta64(1, "h")


def _real_time() -> np.datetime64:
    return np.datetime64(datetime.now(UTC).replace(tzinfo=None), "ns")


@dataclass(frozen=True)
class GlobalStates:
    """Where the states of global runs come from, and which are wanted.

    Attributes:
        source: of the runs.
        need: from an analysis time to the states needed.
        usual_age: of a run at the analysis time; older ones count as late. None: none does.
    """

    source: BoundarySource
    need: Callable[[np.datetime64], BoundaryNeed]
    usual_age: np.timedelta64 | None = None


@dataclass(frozen=True)
class System:
    """Everything that a cycle needs, built once.

    Attributes:
        stream: interval, window and cut-off.
        sources: region, terrain, quality control, withheld stations.
        reports: of the stations.
        first_guess: makes backgrounds.
        method: makes analyses.
        publisher: of the stream's archive.
        global_states: None where no model is told any.
        settled: provenance that all products share: method, its settings, checkpoint.
        few: with fewer stations used than this an analysis is labelled.
        seed: of everything that is drawn.
        look_ahead: reads a background early, to have it at hand.
        now: the clock that products are dated by.
        starting_method: makes the analyses whose first guess is not cycled, in a cycled run; None: the same method.
    """

    stream: Stream
    sources: CaseSources
    reports: ReportSource
    first_guess: FirstGuess
    method: AnalysisMethod
    publisher: Publisher
    global_states: GlobalStates | None = None
    settled: dict[str, str | float] = field(default_factory=dict)
    few: int = 5
    seed: int = 1
    look_ahead: Callable[[Window], None] = lambda window: None
    now: Callable[[], np.datetime64] = _real_time
    starting_method: AnalysisMethod | None = None

    @property
    def history(self) -> History:
        """Earlier analyses of the stream."""
        return self.publisher.history

    def method_for(self, guess: Guess) -> AnalysisMethod:
        """The method for a first guess: the error of a cycled one is smaller than that of any other."""
        return self.method if self.starting_method is None or guess.kind == CYCLED else self.starting_method


@dataclass(frozen=True)
class Gathered:
    """What a cycle finds when it begins; none of it depends on earlier analyses.

    Attributes:
        window: of the analysis.
        reports: of the window.
        boundary: states of a global run; None where there are none.
        problems: why the boundary is less than usual.
        stages: how long each part took.
    """

    window: Window
    reports: Reports
    boundary: Boundary | None
    problems: tuple[str, ...]
    stages: Stages


@dataclass(frozen=True)
class Cycle:
    """A finished analysis, not yet stored.

    Attributes:
        case: background and marked observations.
        guess: where the background is from.
        analysis: with all reasons why it is less than usual.
        feedback: every datum offered, with O − B and O − A.
        stages: how long each part took.
        rejected_reports: reports that could not be read.
    """

    case: Case
    guess: Guess
    analysis: Analysis
    feedback: pd.DataFrame
    stages: Stages
    rejected_reports: int = 0


def run_cycle(system: System, analysis_time: np.datetime64) -> Product:
    """One cycle from reports to archive.

    Raises:
        InputError: there is no first guess, no method gave an analysis, or it cannot be stored.
    """
    gathered = gather(system, analysis_time)
    cycle = make_analysis(system, gathered)
    system.history.add(cycle.analysis.state)
    return store(system, cycle)


def gather(system: System, analysis_time: np.datetime64) -> Gathered:
    """Read what has arrived: reports, global states, and on the way the background."""
    stages, window = Stages(), system.stream.window(analysis_time)
    with stages.timed("reports"):
        reports = system.reports.read(window)
    with stages.timed("boundary"):
        boundary, problems = _boundary(system.global_states, window)
    with stages.timed("background"):
        system.look_ahead(window)
    return Gathered(window, reports, boundary, problems, stages)


def make_analysis(system: System, gathered: Gathered) -> Cycle:
    """First guess, quality control, analysis.

    Raises:
        InputError: there is no first guess, or no method gave an analysis.
    """
    stages, window, boundary = Stages(), gathered.window, gathered.boundary
    with stages.timed("first guess"):
        guess = system.first_guess(Asked(window, system.history, boundary))
    with stages.timed("quality control"):
        case = system.sources.case(
            guess.state, gathered.reports.result.table, window, _origin(guess, gathered), boundary=boundary
        )
    with stages.timed("analysis"):
        generator = seeded(system.seed, window.analysis_time)
        analysis = limited(system.method_for(guess).analyse(case.problem(), generator=generator))
        analysis = _with_members(analysis, system.publisher.archive.design.members)
    with stages.timed("feedback"):
        table = feedback(case, analysis)
    degraded = (*gathered.reports.problems, *gathered.problems, *guess.degraded, *_scarcity(system, case))
    analysis = replace(analysis, degraded=tuple(dict.fromkeys((*degraded, *analysis.degraded))))
    rejected = len(gathered.reports.result.rejected)
    return Cycle(case, guess, analysis, table, gathered.stages.also(stages), rejected)


def store(system: System, cycle: Cycle) -> Product:
    """Publish the analysis; when this returns it is on the disk.

    Raises:
        InputError: the file system refused; nothing that was stored before is harmed.
    """
    seconds = {f"seconds_{name.replace(' ', '_')}": round(s, 4) for name, s in cycle.stages.seconds.items()}
    provenance = {**system.settled, **in_provenance(departures_of(cycle.feedback)), **seconds}
    with cycle.stages.timed("store"):
        return system.publisher.publish(
            cycle.case, cycle.analysis, provenance, feedback_table=cycle.feedback, created=system.now()
        )


def _boundary(states: GlobalStates | None, window: Window) -> tuple[Boundary | None, tuple[str, ...]]:
    """The newest run that had arrived by the cut-off; where there is none, or an old one, the reason why."""
    if states is None:
        return None, ()
    time = window.analysis_time
    try:
        with ONE_READER:
            found = states.source.bracketing(states.need(time), available_at=window.cutoff, before=time)
    except InputError as error:
        return None, (f"no global run: {error}",)
    age = time - found.initial_time
    if states.usual_age is not None and age > states.usual_age:
        return found, (f"global run late: the run of {format_time(found.initial_time)} is {age / _HOUR:g} h old",)
    return found, ()


def _origin(guess: Guess, gathered: Gathered) -> dict[str, str]:
    boundary = gathered.boundary
    found = gathered.reports.result
    return {
        "first_guess": guess.kind,
        "background": guess.source,
        "global_run": "none" if boundary is None else boundary.source,
        "global_run_initial_time": "none" if boundary is None else format_time(boundary.initial_time),
        "reports": f"{found.reports_found} found, {found.reports_read} read, {len(found.rejected)} rejected",
    }


def _with_members(analysis: Analysis, wanted: int) -> Analysis:
    """The analysis with as many members as the archive stores; where there are fewer, they stand in it repeatedly."""
    found = analysis.state.members
    if not wanted or found == wanted:
        return analysis
    rows = torch.arange(wanted) % found
    told = f"only {found} of {wanted} members: they are stored repeatedly"
    state = analysis.state.with_values(analysis.state.values[rows])
    return replace(analysis, state=state, degraded=(*analysis.degraded, told))


def _scarcity(system: System, case: Case) -> tuple[str, ...]:
    """Labels of analyses without observations, with few, or without any of a variable."""
    used = case.observations.used()
    stations = len(set(used.station.tolist()))
    if not stations:
        return ("no observations: the analysis is made of the background alone",)
    few = (f"few observations: {stations} stations",) if stations < system.few else ()
    seen = set(used.channel.tolist())
    unseen = [name for i, name in enumerate(case.background.layout.names) if i not in seen]
    return (*few, *((f"no observation of {', '.join(unseen)}",) if unseen else ()))
