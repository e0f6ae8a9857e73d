"""The comparison with other libraries measures the same model everywhere, and tells what it found."""

import json
import sys
from pathlib import Path

import jax
import pytest

import fnlayers as fl
import kinds
import machine
import peers
import report
from contenders import GATE_BIASES, ours
from targets import TARGETS
from workloads import WORKLOADS


@pytest.mark.parametrize("size", ("tiny", "small", "medium", "large"))
@pytest.mark.parametrize("name", WORKLOADS)
def test_descriptions_say_what_is_built(name, size):
    workload = WORKLOADS[name].at(size)
    model = ours.built(workload)
    assert model.out_shape(workload.shape) == workload.out_shape
    drawn = jax.eval_shape(lambda: model.init(jax.random.key(0), workload.shape))
    assert fl.count(drawn) == kinds.count(workload.chain, workload.shape, GATE_BIASES)


def test_targets_are_those_of_workloads():
    assert {name for name, _ in TARGETS} == WORKLOADS.keys()


@pytest.mark.slow
def test_a_run(monkeypatch, tmp_path, capsys):
    file = str(tmp_path / "found.json")
    options = "--sizes tiny --workloads resnet gru --contenders fnlayers plain --rounds 1 --malloc keep --busy".split()
    monkeypatch.setattr(sys, "argv", ["benchmarks/peers.py", *options, "--json", file])
    monkeypatch.setattr(peers, "ROUND", 0.001)
    peers.main()
    printed = capsys.readouterr().out
    assert "resnet 2x4x4x4" in printed and "(plain, " in printed and "plain: not written by hand (gru)" in printed

    run = json.loads(Path(file).read_text())
    assert run["command"].startswith("python benchmarks/peers.py --sizes tiny") and run["machine"]["versions"]["jax"]
    assert [(row["workload"], row["pass"]) for row in run["rows"]] == [
        (workload, which) for workload in ("resnet", "gru") for which in ("forward", "train")
    ]
    for row in run["rows"]:
        assert row["seconds"].keys() == row["count"].keys() and len(set(row["count"].values())) == 1

    monkeypatch.setattr(sys, "argv", ["report.py", file])
    report.main()
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 6 and len({line.count("|") for line in table}) == 1


def test_a_contender_that_breaks_down_says_why():
    worker = peers.Worker("plain", "nonesuch", "tiny", "default")
    with pytest.raises(peers.Failed, match="broke down: KeyError: 'nonesuch'"):
        worker.ready()
    worker.stop()


def test_speeds_are_compared_with_the_fastest():
    seconds = {
        "fnlayers": [1.0, 2.0, 3.0],
        "linen": [3.0, 6.0, 9.0],
        "haiku": [2.0, 4.0, 6.0],
        "torch": [0.5, 1.0, 1.5],
    }
    comparison = report.versus({"workload": "cnn", "pass": "train", "seconds": seconds}, "default")
    assert (
        str(comparison["peer"]) == "2.00 (haiku, MISSES 3.5)" and str(comparison["torch"]) == "0.50 (torch, MISSES 1)"
    )
    comparison = report.versus({"workload": "cnn", "pass": "forward", "seconds": seconds}, "default")
    assert str(comparison["peer"]) == "2.00 (haiku, meets 1)" and str(comparison["torch"]) == "0.50 (torch)"
    del seconds["fnlayers"]
    assert report.versus({"workload": "cnn", "pass": "train", "seconds": seconds}, "default") == {}


def test_rounds_that_others_disturbed_give_way_to_quieter_ones():
    tried = [(0.5, "a"), (0.0, "b"), (0.9, "c"), (0.05, "d")]
    assert peers.quietest(tried, 2) == [(0.0, "b"), (0.05, "d")]
    assert peers.quietest(tried, 3) == [(0.5, "a"), (0.0, "b"), (0.05, "d")]
    unknown = [(float("nan"), "a"), (float("nan"), "b"), (float("nan"), "c")]
    assert [turns for _, turns in peers.quietest(unknown, 2)] == ["a", "b"]


def test_what_the_host_of_a_virtual_machine_takes_counts_as_others(monkeypatch, tmp_path):
    stat = tmp_path / "stat"
    monkeypatch.setattr(machine, "Path", lambda _: stat)

    def after(stolen: int) -> None:
        stat.write_text(f"cpu  100 0 0 900 0 0 0 {stolen} 0 0\n")

    after(0)
    clock = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(machine, "_spent", lambda pid: 0.0)
    others = machine.Others()
    after(5 * machine.TICKS)
    assert others.cores_used() == 0.5
    assert others.cores_used() == 0.0
