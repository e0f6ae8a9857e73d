"""Programs that cannot mean anything are refused, each in words that name what was given and say what to write."""

import itertools
import random

import pytest
import wrong_programs

KINDS = {"options": 140, "names": 20}  # how many of each kind


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_programs_are_refused_in_our_own_words(kind, request):
    seed, times = request.config.getoption("wrong_seed"), request.config.getoption("wrong_times")
    programs = getattr(wrong_programs, f"wrong_{kind}")(random.Random(f"{kind} {seed}"))
    found = map(wrong_programs.complaint, itertools.islice(programs, KINDS[kind] * times))
    complaints = [text for text in found if text is not None]
    assert not complaints, "\n".join([f"{len(complaints)} of {KINDS[kind] * times}", *complaints[:60]])
