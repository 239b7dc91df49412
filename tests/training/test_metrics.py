import json

from rtma_diffda.training.metrics import opened_metrics, read_metrics


def test_rows_after_the_state_are_made_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with opened_metrics(path, after=0) as metrics:
        for update in (1, 2, 3):
            metrics.write({"update": update, "loss": 0.5 * update})
    with path.open("a") as file:
        file.write('{"update": 4, "lo')  # a process killed while it wrote
    assert [row["update"] for row in read_metrics(path)] == [1, 2, 3]
    with opened_metrics(path, after=2) as metrics:
        metrics.write({"update": 3, "loss": 9.0})
    assert [row["loss"] for row in read_metrics(path)] == [0.5, 1.0, 9.0]


def test_numbers_that_json_lacks_are_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with opened_metrics(path, after=0) as metrics:
        metrics.write({"update": 1, "loss": float("nan"), "validation": {"loss": float("inf")}})
    row = json.loads(path.read_text(), parse_constant=lambda text: 1 / 0)
    assert row == {"update": 1, "loss": None, "validation": {"loss": None}}


def test_other_processes_write_nothing(tmp_path):
    with opened_metrics(None, after=0) as metrics:
        metrics.write({"update": 1})
        metrics.flush()
    assert list(tmp_path.iterdir()) == [] and read_metrics(tmp_path / "none") == []
