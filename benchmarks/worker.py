"""One contender in a process of its own, for `peers.py`: builds a workload, then runs passes on commands from its pipe.

    python benchmarks/worker.py CONTENDER WORKLOAD SIZE

It writes one line of JSON when it is ready, reads lines [pass, calls], and answers each with the seconds they took.
"""

import json
import os
import sys
import time

import kinds
from contenders import CONTENDERS, GATE_BIASES, Passes, module_of
from workloads import WORKLOADS, Workload


def main(contender: str, name: str, size: str) -> None:
    # what libraries print goes to stderr, so that only answers go through the pipe
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**facts: object) -> None:
        print(json.dumps(facts), file=pipe, flush=True)

    try:
        passes = prepared(contender, WORKLOADS[name].at(size))
    except kinds.Missing as missing:
        return answer(missing=str(missing))
    answer(count=passes.count)
    for line in sys.stdin:
        which, calls = json.loads(line)
        answer(seconds=seconds(getattr(passes, which), calls))


def prepared(contender: str, workload: Workload) -> Passes:
    """The contender's model, once its output's shape and its parameter count are those of the workload."""
    module = module_of(contender)
    passes = module.prepare(workload, CONTENDERS[contender].channels_first)
    count = kinds.count(workload.chain, workload.shape, getattr(module, "GATE_BIASES", GATE_BIASES))
    built, wanted = (passes.count, passes.out_shape), (count, workload.out_shape)
    if built != wanted:
        raise ValueError(f"{contender} built (parameters, output shape) {built} instead of {wanted}")
    return passes


def seconds(run, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
