"""Where boxes and arrows go: a layered layout, in which each arrow points downward and goes round the boxes.

Pure geometry, after Sugiyama, Tagawa and Toda: ranks by the longest path; long arrows get a position in each rank that
they pass; barycenters put each rank in an order with few crossings. Then, after Brandes and Köpf, what can stand in
line is put in line. A tall picture is broken into columns where few arrows pass.

References: Sugiyama, Tagawa, Toda, Methods for visual understanding of hierarchical system structures, 1981; Brandes,
Köpf, Fast and simple horizontal coordinate assignment, 2001.
"""

import math
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fnlayers.show.ranks import Link, back_links, ranks_of

GAP = 24.0  # between neighbors in a rank
PASSAGE = 14.0  # the width of the way of a long arrow through a rank
CHANNEL = 26.0  # between ranks; arrows change their position across in there, and the further the higher it is
LANE = 9.0  # between arrows that run side by side from one column to the next, and round a turn
COLUMN = 900.0  # no picture lower than this is broken into columns
WIDE = 1.4  # how wide a broken picture is to be for its height
ENTRY = 14.0  # between arrows that end at one box
ABREAST = 6  # how many arrows may pass from one column to the next; of more that end at one box, long ones are joined
SWEEPS = 12  # each way

Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """The middle of each box, the way of each arrow (points; see `svg.way`), and the size of it all."""

    positions: tuple[Point, ...]
    ways: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layout(sizes: Sequence[Point], links: Sequence[Link], last: Sequence[int] = ()) -> Layout:
    """Place boxes of those (width, height), and route the arrows between them. Boxes in `last` stand in the last rank.

    >>> layout([(40.0, 20.0), (40.0, 20.0)], [Link(0, 1)]).positions
    ((20.0, 10.0), (20.0, 56.0))
    """
    grid = _Grid(sizes, links, last)
    grid.order()
    grid.spread()
    return grid.drawn()


class _Grid:
    """Boxes, and the passages of long arrows, in ranks. A vertex is a box or, from len(sizes) on, a passage."""

    def __init__(self, sizes: Sequence[Point], links: Sequence[Link], last: Sequence[int]) -> None:
        self.sizes, self.links, self.boxes = list(sizes), links, len(sizes)
        self.back = back_links(len(sizes), links)
        self.turns = {i: n for n, i in enumerate(sorted(self.back))}
        forward = [link for i, link in enumerate(links) if i not in self.back]
        self.rank = ranks_of([width + GAP for width, _ in sizes], forward, last)
        self.ranks: list[list[int]] = [[] for _ in range(max(self.rank, default=-1) + 1)]
        for vertex, rank in enumerate(self.rank):
            self.ranks[rank].append(vertex)
        self.ending = Counter(link.target for link in links if link.enters is None)
        self.trunks: dict[tuple, dict[int, int]] = {}
        self.passages = [self._passages(i, link) for i, link in enumerate(links)]
        self.enters = self._entries(links)
        # per vertex: (neighbor, how far to the right of it this one would stand, weight) in the rank above and below
        count = len(self.sizes)
        self.above: list[list[tuple[int, float, float]]] = [[] for _ in range(count)]
        self.below: list[list[tuple[int, float, float]]] = [[] for _ in range(count)]
        self.turning: dict[int, int] = {}
        # per rank: the parts of arrows from there to the next rank, and how far from the middles they begin and end
        self.parts: list[list[tuple[int, float, int, float]]] = [[] for _ in self.ranks]
        self.joined: set[tuple[int, float, int, float]] = set()
        for i, link in enumerate(links):
            self._connect(i, link)
        self.x = [0.0] * count

    def _passages(self, i: int, link: Link) -> list[int]:
        """The arrow's positions in the ranks that it passes; one that goes back passes those of its boxes too.

        Arrows of one array share their positions as far as they go together, and so do those that end at a box of many.
        """
        start, end = self.rank[link.source], self.rank[link.target]
        if i in self.back:
            return [self._passage(rank) for rank in range(start, end - 1, -1)]
        key = ("to", link.target) if self._joined(link) else ("from", link.source, link.leaves)
        trunk = self.trunks.setdefault(key, {})
        for rank in range(start + 1, end):
            if rank not in trunk:
                trunk[rank] = self._passage(rank)
        return [trunk[rank] for rank in range(start + 1, end)]

    def _passage(self, rank: int) -> int:
        vertex = len(self.sizes)
        self.sizes.append((PASSAGE, 0.0))
        self.rank.append(rank)
        self.ranks[rank].append(vertex)
        return vertex

    def _joined(self, link: Link) -> bool:
        return link.enters is None and self.ending[link.target] > ABREAST

    def _entries(self, links: Sequence[Link]) -> list[float]:
        """How far from the middle of its target each arrow ends: where several end, side by side in their order.

        The only one that comes from the rank above ends in the middle, so that chains stay straight.
        """
        entries = [link.enters or 0.0 for link in links]
        into: dict[int, list[int]] = {}
        for i, link in enumerate(links):
            if link.enters is None and not (self._joined(link) and self.passages[i]):
                into.setdefault(link.target, []).append(i)
        for target in into:
            ending = into[target]
            near = [n for n, i in enumerate(ending) if not self.passages[i]]
            middle = float(near[0]) if len(near) == 1 else (len(ending) - 1) / 2
            farthest = max(middle, len(ending) - 1 - middle)
            step = min(ENTRY, 0.8 * self.sizes[target][0] / 2 / farthest) if farthest else 0.0
            for n, i in enumerate(ending):
                entries[i] = (n - middle) * step
        return entries

    def _connect(self, i: int, link: Link) -> None:
        chain = self.passages[i]
        if i in self.back:
            self.turning |= {chain[0]: link.source, chain[-1]: link.target}
            pairs = [(b, a, 0.0, 0.0) for a, b in zip(chain, chain[1:], strict=False)]
        else:
            full = [link.source, *chain, link.target]
            leaves, enters = [link.leaves, *[0.0] * len(chain)], [*[0.0] * len(chain), self.enters[i]]
            pairs = list(zip(full, full[1:], leaves, enters, strict=False))
        for upper, lower, leaving, entering in pairs:
            if (upper, leaving, lower, entering) in self.joined:
                continue
            self.joined.add((upper, leaving, lower, entering))
            self.parts[self.rank[upper]].append((upper, leaving, lower, entering))
            shift = leaving - entering
            weight = 1.0 + 3.0 * ((upper in chain) + (lower in chain))  # long arrows are to be straight
            self.below[upper].append((lower, -shift, weight))
            self.above[lower].append((upper, shift, weight))

    def order(self) -> None:
        """Sort each rank by the middle of its neighbors, downward and upward in turn; keep the best order seen."""
        best, fewest = [list(rank) for rank in self.ranks], self._crossings()
        for sweep in range(2 * SWEEPS):
            if not fewest:
                break
            downward = sweep % 2 == 0
            near = self.above if downward else self.below
            position = {vertex: float(i) for rank in self.ranks for i, vertex in enumerate(rank)}
            for rank in self.ranks if downward else reversed(self.ranks):
                rank.sort(key=lambda v, position=position, near=near: self._middle(v, position, near))
                position.update((vertex, float(i)) for i, vertex in enumerate(rank))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(rank) for rank in self.ranks], crossings
        self.ranks = best

    def _middle(self, vertex: int, position: dict[int, float], near: list) -> float:
        if vertex in self.turning:
            return position[self.turning[vertex]] + 0.5
        positions = [position[other] + 1e-3 * shift for other, shift, _ in near[vertex]]
        return sum(positions) / len(positions) if positions else position[vertex]

    def _crossings(self) -> int:
        position = {vertex: i for rank in self.ranks for i, vertex in enumerate(rank)}
        total = 0
        for parts in self.parts:
            ends = sorted(
                ((position[upper], leaves), (position[lower], enters)) for upper, leaves, lower, enters in parts
            )
            seen: list[tuple[int, float]] = []
            for _, end in ends:
                total += len(seen) - bisect_right(seen, end)
                insort(seen, end)
        return total

    def spread(self) -> None:
        """Positions across: what can stand in line does, and each line goes near the mean of its neighbors."""
        block, shift = self._lines()
        between: dict[tuple[int, int], float] = {}  # the least distance of two neighboring lines
        for rank in self.ranks:
            for left, right in zip(rank, rank[1:], strict=False):
                pair, distance = (block[left], block[right]), self._distance(left, right) + shift[left] - shift[right]
                between[pair] = max(between.get(pair, distance), distance)
        position = _compact(sorted(set(block)), between)
        pulls: dict[int, list[tuple[int, float, float]]] = {line: [] for line in position}
        for vertex in range(len(self.sizes)):
            for lower, offset, weight in self.below[vertex]:
                upper_line, lower_line = block[vertex], block[lower]
                if upper_line != lower_line:
                    distance = shift[vertex] - offset - shift[lower]  # of the lower line from the upper one
                    pulls[lower_line].append((upper_line, distance, weight))
                    pulls[upper_line].append((lower_line, -distance, weight))
        for vertex, box in self.turning.items():
            if block[vertex] != block[box]:
                pulls[block[vertex]].append((block[box], shift[box] - shift[vertex], 0.5))
        lefts: dict[int, list[tuple[int, float]]] = {line: [] for line in position}
        rights: dict[int, list[tuple[int, float]]] = {line: [] for line in position}
        for (left, right), distance in between.items():
            lefts[right].append((left, distance))
            rights[left].append((right, distance))
        for sweep in range(4 * SWEEPS):
            for line in sorted(position, key=position.__getitem__, reverse=sweep % 2 == 0):
                if pulls[line]:
                    target = sum((position[other] + d) * w for other, d, w in pulls[line]) / sum(
                        w for *_, w in pulls[line]
                    )
                    least = max((position[left] + distance for left, distance in lefts[line]), default=-math.inf)
                    most = min((position[right] - distance for right, distance in rights[line]), default=math.inf)
                    position[line] = max(least, min(most, target))
        self.x = [position[block[vertex]] + shift[vertex] for vertex in range(len(self.sizes))]

    def _lines(self) -> tuple[list[int], list[float]]:
        """Vertices in line above each other: the line of each (by its first vertex), and its shift from that one.

        Long arrows first, then boxes with the middle one of those that they feed; lines never cross.
        """
        block, shift = list(range(len(self.sizes))), [0.0] * len(self.sizes)
        for rank, following in zip(self.ranks, self.ranks[1:], strict=False):
            position = {vertex: i for i, vertex in enumerate(following)}
            wishes = []
            for i, upper in enumerate(rank):
                targets = [end for end in self.below[upper] if end[0] < self.boxes]
                targets.sort(key=lambda end: position[end[0]])
                for end in self.below[upper]:
                    lower, offset, weight = end
                    off_center = 0.0
                    joining = sum(other < self.boxes for other, _, _ in self.above[lower])
                    if upper < self.boxes <= lower and joining > 1:
                        continue
                    if end in targets:
                        sources = [other for other, _, _ in self.above[lower] if other < self.boxes]
                        if len(targets) % 2 == 0 or len(sources) % 2 == 0:
                            continue  # it stands between two, not under one
                        off_center = abs(targets.index(end) - len(targets) // 2)
                    mixed = (upper < self.boxes) != (lower < self.boxes)
                    wishes.append((mixed, -weight, off_center, i, position[lower], upper, lower, -offset))
            aligned: list[tuple[int, int]] = []
            for *_, i, j, upper, lower, offset in sorted(wishes):
                if all((i - a) * (j - b) > 0 for a, b in aligned):
                    aligned.append((i, j))
                    block[lower], shift[lower] = block[upper], shift[upper] + offset
        return block, shift

    def _distance(self, left: int, right: int) -> float:
        """The least distance between the middles of two neighbors."""
        gap = (0.0, 10.0, GAP)[(left < self.boxes) + (right < self.boxes)]
        return (self.sizes[left][0] + self.sizes[right][0]) / 2 + gap

    def drawn(self) -> Layout:
        """Positions down, in columns, and the paths of the arrows."""
        heights = [max(self.sizes[v][1] for v in rank) for rank in self.ranks]
        channels = [self._channel(rank) for rank in self.ranks]
        columns = self._columns(heights, channels)
        margin = 3 * LANE if self.back else 0.0  # room to turn above the first rank, and below the last
        tops, shifts, lanes = [0.0] * len(heights), [0.0] * len(heights), {}
        left = bottom = 0.0
        for ranks in columns:
            entering = self._passing(ranks[0] - 1) if ranks[0] else []
            top = margin + LANE * (len(entering) + 1) * bool(entering)
            edges = [
                (self.x[v] - self.sizes[v][0] / 2, self.x[v] + self.sizes[v][0] / 2)
                for r in ranks
                for v in self.ranks[r]
            ]
            start = left + GAP * bool(entering)
            for i, pair in enumerate(entering):
                lanes[pair] = (i, len(entering) - i, start + LANE * i)
            start += LANE * len(entering) + (GAP if entering else 0.0)
            leftmost = min(x for x, _ in edges)
            for r in ranks:
                tops[r], shifts[r] = top, start - leftmost
                top += heights[r] + channels[r]
            leaving = self._passing(ranks[-1]) if ranks[-1] + 1 < len(heights) else []
            below = LANE * (len(leaving) + 1) if leaving else margin
            bottom = max(bottom, top - channels[ranks[-1]] + below)
            left = start + max(x for _, x in edges) - leftmost
        positions = [
            (self.x[v] + shifts[self.rank[v]], tops[self.rank[v]] + heights[self.rank[v]] / 2)
            for v in range(len(self.sizes))
        ]
        bands = [(top, top + height) for top, height in zip(tops, heights, strict=True)]
        ways = tuple(self._way(i, positions, bands, lanes) for i in range(len(self.links)))
        return Layout(tuple(positions[: self.boxes]), ways, left, bottom)

    def _edges(self, vertex: int) -> tuple[float, float]:
        return self.x[vertex] - self.sizes[vertex][0] / 2, self.x[vertex] + self.sizes[vertex][0] / 2

    def _channel(self, rank: list[int]) -> float:
        moves = [abs(self.x[v] - self.x[lower] - shift) for v in rank for lower, shift, _ in self.below[v]]
        return CHANNEL + min(max(moves, default=0.0) / 8, 40.0)

    def _passing(self, rank: int) -> list[tuple[int, int]]:
        """The pairs of vertices that arrows join from this rank to the next, from the right to the left."""
        pairs = [(v, lower) for v in self.ranks[rank] for lower, _, _ in self.below[v]]
        return sorted(pairs, key=lambda pair: (-self.x[pair[0]], -self.x[pair[1]]))

    def _columns(self, heights: list[float], channels: list[float]) -> list[list[int]]:
        """The ranks, cut into columns of about one height where few arrows pass."""
        edges = [self._edges(v) for rank in self.ranks for v in rank]
        width = max(right for _, right in edges) - min(left for left, _ in edges)
        total = sum(heights) + sum(channels)
        goal = max((total * (width + 3 * GAP) / WIDE) ** 0.5, COLUMN)
        turning = {v for i in self.back for v in self.passages[i]}
        columns, height, rest, left = [[]], 0.0, total, max(round(total / goal), 1)
        for r in range(len(heights)):
            columns[-1].append(r)
            height += heights[r] + channels[r]
            passing = self._passing(r)
            few = 0 < len(passing) <= (1 if height < 1.1 * rest / left else ABREAST)
            turns = any(v in turning for pair in passing for v in pair)
            if left > 1 and height > 0.97 * rest / left and few and not turns:
                columns.append([])
                height, rest, left = 0.0, rest - height, left - 1
        return columns

    def _way(self, i: int, positions: list[Point], bands: list[Point], lanes: dict) -> tuple[Point, ...]:
        """Down from the source's lower edge, through the passages, to the target's upper edge."""
        link, back = self.links[i], i in self.back
        turn = LANE * (1 + self.turns[i] % 3 * 0.6) if back else 0.0  # so that turns can be distinguished
        first, final = positions[link.source][0] + link.leaves, positions[link.target][0] + self.enters[i]
        start = positions[link.source][1] + self.sizes[link.source][1] / 2
        end = positions[link.target][1] - self.sizes[link.target][1] / 2
        points = [(first, start), (first, bands[self.rank[link.source]][1])]
        before = link.source
        for vertex in self.passages[i]:
            x, (top, bottom) = positions[vertex][0], bands[self.rank[vertex]]
            if back:
                if before == link.source:
                    points += [(first, bottom + turn), (x, bottom + turn)]
                points += [(x, bottom), (x, top)]
            else:
                points += [*_lane(points[-1], (x, top), lanes.get((before, vertex))), (x, top), (x, bottom)]
            before = vertex
        top = bands[self.rank[link.target]][0]
        if back:
            points += [(points[-1][0], top - turn), (final, top - turn)]
        else:
            points += _lane(points[-1], (final, top), lanes.get((before, link.target)))
        points += [(final, top), (final, end)]
        points = [(round(x, 1), round(y, 1)) for x, y in points]
        return _straightened(points)


def _straightened(points: list[Point]) -> tuple[Point, ...]:
    """The same way without points that repeat, or that lie on a line straight down or up."""
    corners: list[Point] = []
    for point in points:
        if corners and point == corners[-1]:
            continue
        if (
            len(corners) > 1
            and corners[-2][0] == corners[-1][0] == point[0]
            and (point[1] > corners[-1][1]) == (corners[-1][1] > corners[-2][1])
        ):
            corners.pop()
        corners.append(point)
    return tuple(corners)


def _lane(start: Point, end: Point, lane: tuple[int, int, float] | None) -> list[Point]:
    """The corners on the way from the foot of one column to the head of the next."""
    if lane is None:
        return []
    below, above, across = lane
    low, high = start[1] + LANE * (below + 1), end[1] - LANE * above
    return [(start[0], low), (across, low), (across, high), (end[0], high)]


def _compact(lines: list[int], between: dict[tuple[int, int], float]) -> dict[int, float]:
    """A position for each line: halfway between as far left and as far right as the others allow."""
    after: dict[int, list[tuple[int, float]]] = {line: [] for line in lines}
    waiting = dict.fromkeys(lines, 0)
    for (left, right), distance in between.items():
        after[left].append((right, distance))
        waiting[right] += 1
    ready = [line for line in lines if not waiting[line]]
    left_most = dict.fromkeys(lines, 0.0)
    for line in ready:
        for right, distance in after[line]:
            left_most[right] = max(left_most[right], left_most[line] + distance)
            waiting[right] -= 1
            if not waiting[right]:
                ready.append(right)
    right_most = dict.fromkeys(lines, max(left_most.values(), default=0.0))
    for line in reversed(ready):
        for right, distance in after[line]:
            right_most[line] = min(right_most[line], right_most[right] - distance)
    return {line: (left_most[line] + right_most[line]) / 2 for line in lines}
