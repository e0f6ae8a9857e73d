"""Programs that cannot mean anything are refused, each in words that name what was given and say what to write."""

import itertools
import os
import random

import pytest
import wrong_functions
import wrong_inputs
import wrong_programs

KINDS = {"options": 140, "names": 20, "calls": 140, "inputs": 200, "functions": 150}  # how many of each kind
HOMES = {"inputs": wrong_inputs, "functions": wrong_functions}  # where they are made; the others in wrong_programs
# Others, and more of them: WRONG_SEED=1 WRONG_TIMES=20 pytest tests/core/test_wrong_programs.py
SEED, TIMES = os.environ.get("WRONG_SEED", "0"), int(os.environ.get("WRONG_TIMES", "1"))


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_programs_are_refused_in_our_own_words(kind):
    programs = getattr(HOMES.get(kind, wrong_programs), f"wrong_{kind}")(random.Random(f"{kind} {SEED}"))
    texts = map(wrong_programs.complaint, itertools.islice(programs, KINDS[kind] * TIMES))
    complaints = sorted({text for text in texts if text is not None})
    assert not complaints, "\n".join([f"{len(complaints)} of {KINDS[kind] * TIMES}", *complaints[:60]])
