"""Runtimes side by side: which suit a model, the same vectors on each, fair timing, memory in a process of its own."""

import json
import timeit
from importlib.util import find_spec

import numpy as np
import pytest

from reid.bench import runtime as bench
from reid.bench.runtime import added_memory, bench_runtime, open_on, suits, working_runtimes
from reid.bench.speed import measure_batches, noise_crops
from reid.errors import BadInputError, ModelError
from reid.model import EmbeddingModel, save_model
from tests.helpers import colour_embedder
from tests.test_foreign import mean_model
from tracker.cli import main


def nothing(*given):
    pass


@pytest.fixture
def own(tmp_path):
    return str(colour_embedder(tmp_path / "own.onnx"))


@pytest.fixture
def other(tmp_path):
    return f"other={mean_model(tmp_path / 'mean.onnx')},like=openvino"


@pytest.fixture
def here(monkeypatch):
    """Say which runtimes work."""
    return lambda *names: monkeypatch.setattr(bench, "working_runtimes", lambda: list(names))


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("standard", {"onnxruntime-cpu", "onnxruntime-cuda", "openvino"}),
        ("fast=a b/own.onnx", {"onnxruntime-cpu", "onnxruntime-cuda", "openvino"}),
        ("a.onnx,like=openvino", {"onnxruntime-cpu", "onnxruntime-cuda", "openvino"}),
        ("peer=a.xml,size=256x128,colour=bgr,mean=0,std=1", {"openvino"}),
        ("first/last.pt", {"pytorch"}),
    ],
)
def test_a_model_suits_the_runtimes_of_its_kind(text, on):
    assert {name for name in ("onnxruntime-cpu", "onnxruntime-cuda", "openvino", "pytorch") if suits(text, name)} == on


def test_what_works_here_is_tried_not_believed(monkeypatch):
    listed = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: listed)
    monkeypatch.setattr("reid.runtime.loads", lambda provider: provider in listed[2:])
    assert working_runtimes()[:2] == ["onnxruntime-cpu", "onnxruntime-openvino"]
    assert working_runtimes()[-1] == "pytorch"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert working_runtimes() == ["onnxruntime-cpu", "onnxruntime-openvino", "pytorch"]


@pytest.mark.parametrize("kind", ["own", "other"])
def test_a_model_gives_the_same_vectors_on_openvino(kind, own, other):
    if find_spec("openvino") is None:
        pytest.skip("the optional openvino is not installed")
    text = {"own": own, "other": other}[kind]
    crops = noise_crops(5)
    (name, ours), (again, theirs) = (open_on(text, runtime, 1) for runtime in ("onnxruntime-cpu", "openvino"))
    assert name == again == kind
    for count in (1, 5, 2, 1):
        assert theirs(crops[:count]) == pytest.approx(np.asarray(ours(crops[:count])), abs=1e-5)


def test_a_checkpoint_runs_in_pytorch(tmp_path):
    (tmp_path / "first").mkdir()
    save_model(EmbeddingModel("osnet_x0_25", 16, 0, (32, 16)), tmp_path / "first" / "last.pt")
    name, embed = open_on(str(tmp_path / "first" / "last.pt"), "pytorch", 1)
    assert name == "first"
    assert embed(noise_crops(2)).shape == (2, 16)


def test_rounds_go_through_all_models_and_batches_in_turn():
    calls = []

    def model(name):
        return lambda crops: calls.append((name, len(crops)))

    times = measure_batches({"a": model("a"), "b": model("b")}, (1, 3, 8), 2, nothing)
    one = [[(name, 1)] * 8 + [(name, 3)] * 2 + [(name, 8)] for name in "ab"]
    assert calls == (one[0] + one[1]) * 3  # one to warm up
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_the_time_is_the_median_a_crop(monkeypatch):
    clock = iter([0, 9, 0, 9, 0, 0.4, 0, 0.8, 0, 40, 0, 0.04, 0, 0.8, 0, 0.4])  # began and ended, by 1 and by 4
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert measure_batches({"a": nothing}, (1, 4), 3, nothing)["a"] == pytest.approx([200, 100])


def test_a_row_is_a_model_on_a_runtime(own, other, here, monkeypatch):
    here("onnxruntime-cpu", "pytorch")
    asked = []

    def memory(*given):
        asked.append(given)
        return 12.0

    rows = bench_runtime([own, other], [], (1, 4), 1, 1, nothing, memory)
    assert [(row.model, row.runtime, list(row.ms), row.added_mb) for row in rows] == [
        ("own", "onnxruntime-cpu", [1, 4], 12.0),
        ("other", "onnxruntime-cpu", [1, 4], 12.0),
    ]
    assert asked == [(text, "onnxruntime-cpu", 1, 4) for text in (own, other)]
    assert min(ms for row in rows for ms in row.ms.values()) > 0


def test_memory_is_that_of_a_fresh_process(own):
    """A process that opens ONNX Runtime takes tens of megabytes more, whatever this one has loaded already."""
    megabytes = added_memory(own, "onnxruntime-cpu", 1, 2)
    assert 5 < megabytes < 1000


def test_a_process_that_dies_leaves_the_memory_untold(monkeypatch):
    monkeypatch.setattr(bench, "_added_here", timeit.repeat)  # which runs its second argument as code
    assert added_memory("pass", "import os; os._exit(9)", 1, 2) is None


def test_a_model_that_one_runtime_cannot_take_is_left_out_there(own, here, monkeypatch):
    here("onnxruntime-cpu", "openvino")
    opened, told = open_on, []

    def failing(text, runtime, threads):
        if runtime == "openvino":
            raise ModelError("no such operator")
        return opened(text, runtime, threads)

    monkeypatch.setattr(bench, "open_on", failing)
    rows = bench_runtime([own], [], (1,), 1, 1, told.append, lambda *given: None)
    assert [row.runtime for row in rows] == ["onnxruntime-cpu"]
    assert f"{own} is left out on openvino: no such operator" in told
    with pytest.raises(ModelError, match="no such operator"):
        bench_runtime([own], ["openvino"], (1,), 1, 1, nothing, lambda *given: None)


@pytest.mark.parametrize(
    ("texts", "how", "error", "message"),
    [
        (["{own}"], {"runtimes": ["onnxruntime-cuda"]}, BadInputError, "'onnxruntime-cuda' does not work here; choose"),
        (
            ["{own}"],
            {"runtimes": ["pytorch"]},
            BadInputError,
            "own.onnx: runs on none of pytorch; leave --runtimes out",
        ),
        (["{own}", "own={own}"], {}, BadInputError, "two models are called own"),
        (["absent.onnx"], {}, ModelError, "absent.onnx: no such embedder"),
        (["{own}"], {"batches": (1, 0)}, BadInputError, "at least 1 of each"),
        (["{own}"], {"batches": ()}, BadInputError, "at least 1 of each"),
        (["{own}"], {"rounds": 0}, BadInputError, "0 rounds of batches"),
    ],
)
def test_what_makes_no_sense_is_told(own, here, texts, how, error, message):
    here("onnxruntime-cpu", "pytorch")
    options = {"runtimes": [], "batches": (1,), "rounds": 1} | how
    with pytest.raises(error, match=message) as caught:
        bench_runtime(
            [text.format(own=own) for text in texts],
            options["runtimes"], options["batches"], options["rounds"], 1, nothing, lambda *given: None,
        )  # fmt: skip
    assert "\n" not in str(caught.value)


@pytest.fixture
def command(here, monkeypatch):
    """The command, with only the CPU and no processes of its own."""
    here("onnxruntime-cpu")
    monkeypatch.setattr(bench, "added_memory", lambda text, *given: None if "mean" in text else 40.4)
    times = iter([[2.0, 1.0], [3.0, 0.5]])
    monkeypatch.setattr(bench, "measure_batches", lambda models, *given: {key: next(times) for key in models})
    return lambda *args: main(["bench", "runtime", *args])


def test_the_table_on_the_command_line(own, other, command, capsys):
    assert command(own, other, "--batches", "1", "8") == 0, capsys.readouterr().err
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["model", "runtime", "batch", "ms", "a", "crop", "crops/s", "ratio", "MB"]
    assert [line for line in lines[1:] if line[0] in ("own", "other")] == [
        ["own", "onnxruntime-cpu", "1", "2.00", "500", "1.00", "40"],
        ["own", "onnxruntime-cpu", "8", "1.00", "1000", "1.00", "40"],
        ["other", "onnxruntime-cpu", "1", "3.00", "333", "1.50", "not", "told"],
        ["other", "onnxruntime-cpu", "8", "0.50", "2000", "0.50", "not", "told"],
    ]


def test_the_command_prints_json(own, command, capsys):
    assert command(own, "--batches", "1", "8", "8", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "model": "own", "runtime": "onnxruntime-cpu", "batch": 1,
        "ms_a_crop": 2.0, "crops_a_second": 500.0, "ratio": 1.0, "added_mb": 40.4,
    }  # fmt: skip
    assert second["batch"] == 8


def test_mistakes_on_the_command_line_are_one_line(own, command, capsys):
    assert command(own, "--threads", "-1") == 2
    assert command(own, "--runtimes", "cuda") == 2
    assert "choose from onnxruntime-cpu" in (said := capsys.readouterr().err)
    assert said.count("\n") == 2
