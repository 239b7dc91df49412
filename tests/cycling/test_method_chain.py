"""Methods that stand in for one another: which is tried after which failure, with which numbers, and what is told."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from builders import NOON, random_observations, random_state, small_grid, small_static

from rtma_diffda.cycling.method_chain import Alternative, Failure, MethodChain, chain_of, failure_of
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.interfaces import Analysis, AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window

LAYOUT = Layout.of(small_grid(), ["t2m"])
MEMORY, DEVICE = frozenset({Failure.MEMORY}), frozenset({Failure.DEVICE})


@pytest.fixture
def problem():
    background = random_state(LAYOUT, dtype=torch.float32)
    background = background.with_values(280.0 + background.values)
    operator = BilinearOperator(LAYOUT, small_static())
    window = Window.around(NOON, np.timedelta64(15, "m"))
    return AssimilationProblem(background, random_observations(LAYOUT, 10), operator, window)


@dataclass
class Method:
    """Adds noise to the background; then fails, or spoils what it gives."""

    error: BaseException | None = None
    spoil: float | None = None
    error_std: float = 1.0
    degraded: tuple[str, ...] = ()
    draws: list = field(default_factory=list)

    def analyse(self, problem, *, generator):
        noise = torch.randn(problem.background.values.shape, generator=generator)
        self.draws.append(noise)
        if self.error is not None:
            raise self.error
        values = problem.background.values + noise
        if self.spoil is not None:
            values[0, 0, 4, 5] = self.spoil
        error_std = torch.full(LAYOUT.shape, self.error_std)
        return Analysis(problem.background.with_values(values), problem, error_std, degraded=self.degraded)


def chain(first, *, fewer=None, processor=None, plain=None, unwell=()):
    """The usual chain, with methods that have not been asked unless something failed."""
    return MethodChain(
        Alternative("diffusion", first),
        (
            Alternative("fewer members", fewer or Method(), MEMORY),
            Alternative("on the processor", processor or Method(), MEMORY | DEVICE),
            Alternative("optimal interpolation", plain or Method()),
        ),
        unwell,
    )


def run(methods, problem, seed=3):
    return methods.analyse(problem, generator=torch.Generator().manual_seed(seed))


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("HIP out of memory"),
    OSError(12, "Cannot allocate memory"),
]
DEVICE_LOST = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("no kernel image is available for execution on the device"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_memory_that_runs_out_is_told_from_other_failures(error):
    assert failure_of(error) is Failure.MEMORY


@pytest.mark.parametrize("error", DEVICE_LOST, ids=str)
def test_a_lost_accelerator_is_told_from_other_failures(error):
    assert failure_of(error) is Failure.DEVICE


@pytest.mark.parametrize(
    "error",
    [ValueError("cuda"), InputError("background has NaN"), RuntimeError("singular matrix"), ZeroDivisionError()],
)
def test_anything_else_is_no_usable_answer(error):
    assert failure_of(error) is Failure.ANSWER


def test_a_method_that_works_is_the_only_one_asked(problem):
    first, others = Method(degraded=("no terrain",)), [Method() for _ in range(3)]
    analysis = run(chain(first, fewer=others[0], processor=others[1], plain=others[2]), problem)
    assert analysis.degraded == ("no terrain",)
    assert torch.equal(analysis.increment(), problem.background.values + first.draws[0] - problem.background.values)
    assert not any(other.draws for other in others)


def test_memory_that_runs_out_is_saved_by_fewer_members(problem, caplog):
    fewer, plain = Method(), Method()
    methods = chain(Method(torch.OutOfMemoryError("CUDA out of memory.\nmuch more")), fewer=fewer, plain=plain)
    analysis = run(methods, problem)
    assert analysis.degraded == ("diffusion: out of memory; fewer members instead",)
    assert len(fewer.draws) == 1 and not plain.draws
    assert "diffusion failed (out of memory): CUDA out of memory." in caplog.text and "much more" not in caplog.text


def test_an_accelerator_that_fails_is_replaced_by_the_processor(problem):
    fewer, processor = Method(), Method()
    analysis = run(chain(Method(DEVICE_LOST[0]), fewer=fewer, processor=processor), problem)
    assert analysis.degraded == ("diffusion: the accelerator failed; on the processor instead",)
    assert len(processor.draws) == 1 and not fewer.draws  # fewer members would meet the same accelerator


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_an_answer_that_is_not_finite_goes_to_the_plain_method_directly(problem, spoil):
    fewer, processor = Method(), Method()
    analysis = run(chain(Method(spoil=spoil), fewer=fewer, processor=processor), problem)
    assert analysis.degraded == ("diffusion: no usable answer; optimal interpolation instead",)
    assert not fewer.draws and not processor.draws
    assert bool(torch.isfinite(analysis.state.values).all())


@pytest.mark.parametrize("error_std", [-0.5, float("nan"), float("inf")])
def test_a_stated_error_that_is_none_is_no_usable_answer(problem, error_std):
    analysis = run(chain(Method(error_std=error_std)), problem)
    assert analysis.degraded == ("diffusion: no usable answer; optimal interpolation instead",)


@pytest.mark.parametrize("error", [InputError("x"), UsageError("x"), ValueError("x"), ZeroDivisionError("x")], ids=repr)
def test_a_method_that_refuses_is_replaced_by_the_plain_one(problem, error):
    assert run(chain(Method(error)), problem).degraded[0].endswith("optimal interpolation instead")


def test_one_failure_after_another_goes_down_the_chain(problem):
    fewer, processor, plain = Method(MemoryError()), Method(spoil=float("nan")), Method(degraded=("no terrain",))
    analysis = run(chain(Method(MemoryError()), fewer=fewer, processor=processor, plain=plain), problem)
    assert [len(method.draws) for method in (fewer, processor, plain)] == [1, 1, 1]
    assert analysis.degraded == ("on the processor: no usable answer; optimal interpolation instead", "no terrain")


def test_a_device_that_fails_after_memory_ran_out_still_finds_the_processor(problem):
    analysis = run(chain(Method(MemoryError()), fewer=Method(DEVICE_LOST[1])), problem)
    assert analysis.degraded == ("fewer members: the accelerator failed; on the processor instead",)


def test_every_attempt_draws_the_same_numbers(problem):
    methods = [Method(MemoryError()), Method(MemoryError()), Method(spoil=float("nan")), Method()]
    analysis = run(chain(methods[0], fewer=methods[1], processor=methods[2], plain=methods[3]), problem)
    alone = Method()
    expected = run(chain_of([Alternative("alone", alone)]), problem)
    assert all(torch.equal(method.draws[0], alone.draws[0]) for method in methods)
    assert torch.equal(analysis.state.values, expected.state.values)


def test_a_chain_gives_the_same_bits_each_time(problem):
    first = run(chain(Method(MemoryError())), problem)
    again = run(chain(Method(MemoryError())), problem)
    assert torch.equal(first.state.values, again.state.values)
    assert not torch.equal(first.state.values, run(chain(Method(MemoryError())), problem, seed=4).state.values)


def test_where_all_fail_one_sentence_names_each_reason(problem):
    methods = chain(
        Method(MemoryError()), fewer=Method(MemoryError()), processor=Method(DEVICE_LOST[0]), plain=Method(ValueError())
    )
    with pytest.raises(InputError) as refusal:
        run(methods, problem)
    assert str(refusal.value) == (
        "no method gave an analysis: diffusion: out of memory; fewer members: out of memory; on the processor: the "
        "accelerator failed; optimal interpolation: no usable answer"
    )


def test_what_is_unwell_from_the_beginning_is_told_with_every_analysis(problem):
    unwell = ("no accelerator: on the processor",)
    assert run(chain(Method(), unwell=unwell), problem).degraded == unwell
    assert run(chain(Method(ValueError()), unwell=unwell), problem).degraded == (
        "no accelerator: on the processor", "diffusion: no usable answer; optimal interpolation instead",
    )  # fmt: skip


def test_an_interruption_is_no_failure_of_a_method(problem):
    plain = Method()
    with pytest.raises(KeyboardInterrupt):
        run(chain(Method(KeyboardInterrupt()), plain=plain), problem)
    assert not plain.draws


@pytest.mark.parametrize("error", [TypeError("x"), KeyError("x"), IndexError("x"), AssertionError("x")], ids=repr)
def test_a_bug_of_the_wanted_method_is_no_reason_to_have_no_analysis(problem, error):
    assert run(chain(Method(error)), problem).degraded[0].endswith("optimal interpolation instead")
