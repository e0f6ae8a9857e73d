"""In which row of a picture each box stands: below all that lead to it, and not more in a row than fit."""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

BROAD = 2400.0  # no row is wider than that, if it can be broken into several

LAYER = 320.0  # what is wider is a model with layers in it


class Link(NamedTuple):
    """An arrow, with how far from the middles of its two boxes it begins and ends.

    None: next to the others that end there, in the order in which they are listed.
    """

    source: int
    target: int
    leaves: float = 0.0
    enters: float | None = None


def ranks_of(widths: Sequence[float], links: list[Link], last: Sequence[int]) -> list[int]:
    """The rank of each box, from above; `links` close no circle, boxes in `last` stand below all others."""
    rank, used = _longest_ways(len(widths), links, last), defaultdict(float)
    for box, r in enumerate(rank):
        used[r] += widths[box]
    if max(used.values(), default=0.0) <= BROAD:
        return rank
    # a layer takes as much as the widest layer, so that parallel chains stay abreast
    typical = max((width for width in widths if width <= LAYER), default=0.0)
    return _narrow([max(width, typical) for width in widths], links, last)


def back_links(count: int, links: Sequence[Link]) -> set[int]:
    """The arrows that close a circle (a layer that is called again on what came of its output)."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    for i, link in enumerate(links):
        leaving[link.source].append(i)
    state, back = [0] * count, set()  # 0: not seen, 1: on the way here, 2: done
    for root in range(count):
        stack = [] if state[root] else [(root, iter(leaving[root]))]
        state[root] = state[root] or 1
        while stack:
            box, rest = stack[-1]
            for i in rest:
                target = links[i].target
                if state[target] == 1:
                    back.add(i)
                elif state[target] == 0:
                    state[target] = 1
                    stack.append((target, iter(leaving[target])))
                    break
            else:
                state[box] = 2
                stack.pop()
    return back


def _longest_ways(count: int, links: list[Link], last: Sequence[int]) -> list[int]:
    """How many arrows the longest way to each box has; the last ones below all others."""
    rank, waiting = [0] * count, [0] * count
    leaving: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        leaving[link.source].append(link.target)
        waiting[link.target] += 1
    ready = [box for box in range(count) if not waiting[box]]
    for box in ready:
        for target in leaving[box]:
            rank[target] = max(rank[target], rank[box] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for box in last:
        rank[box] = max(rank)
    return rank


def _narrow(widths: Sequence[float], links: list[Link], last: Sequence[int]) -> list[int]:
    """Ranks with no more boxes than fit: a box is in the first with room below all that lead to it.

    After Coffman and Graham. The boxes are used in an order in which chains are finished before others are begun, and
    those without sources stand right above their first target, so that parallel chains stay together.
    """
    sources: list[list[int]] = [[] for _ in widths]
    targets: list[list[int]] = [[] for _ in widths]
    for link in links:
        sources[link.target].append(link.source)
        targets[link.source].append(link.target)
    waiting = [len(boxes) for boxes in sources]
    ready = [box for box in range(len(widths)) if not waiting[box]]
    rank, ends = dict.fromkeys(ready, -1), set(last)  # -1: not placed yet
    used: dict[int, float] = defaultdict(float)

    def put(box: int, r: int) -> None:
        rank[box] = r
        used[r] += widths[box]

    while ready:
        box = heapq.heappop(ready)
        if sources[box] and box not in ends:
            starts = [other for other in dict.fromkeys(sources[box]) if rank[other] < 0]
            needed = sum(widths[other] for other in starts)
            r = max(bool(starts), *(rank[other] + 1 for other in sources[box]))
            while not _fits(used[r], widths[box]) or (starts and not _fits(used[r - 1], needed)):
                r += 1
            put(box, r)
            for other in starts:
                put(other, r - 1)
        for target in targets[box]:
            waiting[target] -= 1
            if not waiting[target]:
                heapq.heappush(ready, target)
    lowest = max(used, default=-1) + 1
    for box in range(len(widths)):
        if rank.get(box, -1) < 0:  # outputs, and boxes without targets
            while not _fits(used[lowest], widths[box]):
                lowest += 1
            put(box, lowest)
    return [rank[box] for box in range(len(widths))]


def _fits(used: float, more: float) -> bool:
    return not used or used + more <= BROAD
