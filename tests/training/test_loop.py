"""What a training does with a model whose answer is known."""

import os
import signal

import pytest
import torch
from toy_learning import Line, Noisy, Rows, line_rows, quick

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.training.interruption import TrainingInterrupted
from rtma_diffda.training.loop import train
from rtma_diffda.training.metrics import read_metrics
from rtma_diffda.training.session import TrainingDiverged

DATA, UNSEEN = line_rows(64), line_rows(30, seed=1)


def trained(model, directory, settings=None, *, data=DATA, validation=UNSEEN):
    return train(model, data, validation=validation, settings=settings or quick(), directory=directory)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_known_line_is_found(tmp_path):
    model = Line()
    result = trained(model, tmp_path, quick(updates=200))
    torch.testing.assert_close(model.layer.weight[0], torch.tensor([1.0, 2.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(model.layer.bias, torch.tensor([0.5]), atol=0.02, rtol=0)
    assert same(dict(model.state_dict()), dict(result.weights)) and not result.overfitted
    assert result.progress.update == 200 and "all 200 updates" in result.summary()


def test_the_same_call_gives_the_same_bits_and_another_seed_others(tmp_path):
    runs = [trained(Noisy(), tmp_path / str(i), quick(seed=seed)) for i, seed in enumerate((0, 0, 1))]
    assert same(runs[0].weights, runs[1].weights)
    assert not same(runs[0].weights, runs[2].weights)


def test_the_random_numbers_of_the_caller_are_left_alone(tmp_path):
    model = Noisy()
    before = torch.random.get_rng_state()
    trained(model, tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_parts_of_a_batch_add_up_to_the_whole(tmp_path):
    whole = trained(Line(), tmp_path / "whole", quick(parts=1))
    parts = trained(Line(), tmp_path / "parts", quick(parts=4))
    for name, values in whole.weights.items():
        torch.testing.assert_close(parts.weights[name], values, atol=1e-6, rtol=0)


def test_frozen_weights_stay(tmp_path):
    model = Noisy()
    trained(model, tmp_path)
    assert torch.equal(model.frozen, torch.ones(2))


def test_over_fitting_is_noticed_and_the_best_weights_kept(tmp_path, caplog):
    data, unseen = ((line_rows(n, seed=n, features=20, error=40.0)) for n in (24, 200))
    model = Line(20)
    settings = quick(updates=2000, validate_every=20, patience=5, learning_rate=0.5, final_fraction=1.0)
    result = trained(model, tmp_path, settings, data=data, validation=unseen)
    assert result.overfitted and result.validation_rise > 0.02
    assert 0 < result.progress.best_update == result.progress.update - 5 * 20 < 1000
    assert "no new best in 5 validations" in result.stopped and "over-fits" in caplog.text
    with torch.no_grad():
        loss, _ = model.loss(unseen, generator=None)
    assert float(loss) == pytest.approx(result.progress.best_loss, rel=1e-5)


def test_without_validation_the_last_average_is_kept(tmp_path):
    result = trained(Line(), tmp_path, quick(updates=150), validation=None)
    assert result.progress.best_loss is None and not result.overfitted
    assert float(result.weights["layer.weight"][0, 1]) == pytest.approx(2, abs=0.1)


def test_a_request_to_stop_saves_and_the_same_call_goes_on_to_the_same_bits(tmp_path):
    whole = trained(Noisy(), tmp_path / "whole")

    class Stopping(Noisy):
        passes = 0

        def loss(self, batch, *, generator):
            self.passes += self.training
            if self.passes == 23:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().loss(batch, generator=generator)

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(TrainingInterrupted, match=r"after update 23 of 40.*the same command goes on"):
        trained(Stopping(), tmp_path / "parted")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    parted = trained(Noisy(), tmp_path / "parted")
    assert same(whole.weights, parted.weights)
    assert parted.progress.best_loss == whole.progress.best_loss
    rows = read_metrics(tmp_path / "parted" / "metrics.jsonl")
    assert [row["update"] for row in rows if "loss" in row] == list(range(1, 41))
    assert [row["update"] for row in rows if "validation" in row] == [10, 20, 30, 40]


def test_a_finished_training_is_not_done_again(tmp_path):
    first = trained(Noisy(), tmp_path)
    stamp = (tmp_path / "state.safetensors").stat().st_mtime_ns
    model = Noisy()
    again = trained(model, tmp_path)
    assert same(first.weights, again.weights) and same(dict(model.state_dict()), dict(first.weights))
    assert again.progress == first.progress and (tmp_path / "state.safetensors").stat().st_mtime_ns == stamp


def test_what_does_not_fit_the_stored_training_is_refused(tmp_path):
    trained(Line(), tmp_path)
    with pytest.raises(UsageError, match=r"learning_rate was 0\.05 and is 0\.1"):
        trained(Line(), tmp_path, quick(learning_rate=0.1))
    with pytest.raises(InputError, match=r"'layer\.weight' has shape \(1, 2\) there and \(1, 3\)"):
        trained(Line(3), tmp_path, data=line_rows(64, features=3), validation=None)
    (tmp_path / "state.safetensors").write_bytes((tmp_path / "state.safetensors").read_bytes()[:-50])
    with pytest.raises(InputError, match=r"state\.safetensors is damaged"):
        trained(Line(), tmp_path)


def test_too_few_data_are_refused(tmp_path):
    with pytest.raises(InputError, match="7 training members, fewer than one batch of 8"):
        trained(Line(), tmp_path, data=line_rows(7))
    with pytest.raises(InputError, match="no validation members"):
        trained(Line(), tmp_path, validation=line_rows(0))


class Failing(Line):
    """Has no finite loss in some updates."""

    def __init__(self, failing):
        super().__init__()
        self.failing, self.passes = failing, 0

    def loss(self, batch, *, generator):
        loss, figures = super().loss(batch, generator=generator)
        self.passes += self.training
        return (loss * float("nan") if self.training and self.passes in self.failing else loss), figures


def test_an_update_without_finite_gradient_is_skipped(tmp_path):
    model = Failing({5, 6})
    result = trained(model, tmp_path, quick(updates=200))
    assert result.progress.skipped == 2 and "2 updates were skipped" in result.summary()
    torch.testing.assert_close(model.layer.weight[0], torch.tensor([1.0, 2.0]), atol=0.02, rtol=0)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert rows[4]["update"] == 5 and rows[4]["loss"] is None and rows[6]["loss"] > 0


def test_many_in_a_row_end_the_training(tmp_path):
    with pytest.raises(TrainingDiverged, match="3 updates in a row, up to update 9"):
        trained(Failing({7, 8, 9}), tmp_path, quick(max_failures=3))


def test_autocast_computes_in_bfloat16_and_keeps_weights_in_float32(tmp_path):
    seen = set()

    class Watched(Line):
        def loss(self, batch, *, generator):
            seen.add(self.layer(batch.x).dtype)
            return super().loss(batch, generator=generator)

    result = trained(Watched(), tmp_path, quick(updates=150, bfloat16=True))
    assert seen == {torch.bfloat16}
    assert {values.dtype for values in result.weights.values()} == {torch.float32}
    torch.testing.assert_close(result.weights["layer.weight"][0], torch.tensor([1.0, 2.0]), atol=0.1, rtol=0)


def test_a_budget_of_seconds_ends_the_training(tmp_path):
    result = trained(Line(), tmp_path / "wall", quick(max_seconds=1e-9))
    assert result.progress.update == 1 and "seconds is used up" in result.stopped
    result = trained(Line(), tmp_path / "cpu", quick(max_cpu_seconds=1e-9))
    assert result.progress.update == 1 and "processor time is used up" in result.stopped


def test_metrics_tell_what_happened(tmp_path):
    result = trained(Line(), tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    first, validations = rows[0], [row for row in rows if "validation" in row]
    assert set(first) == {"update", "loss", "learning_rate", "gradient_norm", "seconds", "cpu_seconds", "largest"}
    assert first["learning_rate"] == pytest.approx(0.05 / 4) and first["loss"] > 0
    assert validations[-1]["validation"].keys() == {"loss", "largest"} and validations[-1]["best"]
    assert validations[-1]["validation"]["loss"] == result.progress.best_loss
    assert result.provenance()["progress"]["update"] == 40


def test_a_loss_that_is_no_number_is_refused(tmp_path):
    class Wrong(Line):
        def loss(self, batch, *, generator):
            return self.layer(batch.x), {}

    with pytest.raises(UsageError, match=r"loss of Wrong has shape \(8, 1\)"):
        trained(Wrong(), tmp_path)


def test_rows_reach_the_model_as_they_were(tmp_path):
    batches = []

    class Watched(Line):
        def loss(self, batch, *, generator):
            batches.append(batch)
            return super().loss(batch, generator=generator)

    trained(Watched(), tmp_path, quick(updates=8, validate_every=8))
    seen = torch.cat([batch.x for batch in batches[:8]])  # 8 updates of 8 members: one epoch of 64
    assert torch.equal(seen.sort(dim=0).values, DATA.x.sort(dim=0).values) and not torch.equal(seen, DATA.x)
    judged = Rows(torch.cat([batch.x for batch in batches[8:]]), UNSEEN.y)
    assert torch.equal(judged.x, UNSEEN.x)
