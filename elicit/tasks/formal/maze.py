"""`maze`: the shortest path through a grid, with the A* search as its trace (SearchFormer, arXiv 2402.14083).

    Maze of 4 rows and 4 columns. Walls: 0 1, 1 1, 2 1. Start at 0 0, goal at 0 2. ...   ->   d d d r r u u u

A cell is "row column". A trace is the search itself: `open` puts a cell on the open list, `close` takes the best one
off it, g is the number of moves so far and h the Manhattan distance to the goal:

    open 0 0 g 0 h 2. close 0 0 g 0 h 2. open 1 0 g 1 h 3. close 1 0 g 1 h 3. ...

The shortest path is unique by construction, so an answer is right or wrong; ties of the search are not, so *every*
A* order is valid (arXiv 2505.13775 replays traces the same way): `Replay` keeps both lists and names the first step
that A* could not have made. What this module does not know: prompts, models, how the trace came about.
"""

from __future__ import annotations

import random
import re
from typing import Any

from elicit.errors import ConfigError
from elicit.tasks.formal.family import Problem, Violation

Cell = tuple[int, int]
MOVES = {"u": (-1, 0), "d": (1, 0), "l": (0, -1), "r": (0, 1)}
WALLS = (0.3, 0.5)
"""range of the share of cells that are walls"""
_STEP = re.compile(r"(open|close) (\d+) (\d+) g (\d+) h (\d+)\.")
_ASK = "Moves are u, d, l and r. What is the shortest path?"
_TRIES = 10_000


def distance(a: Cell, b: Cell) -> int:
    """Manhattan distance."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def neighbours(cell: Cell, size: int, walls: set[Cell]) -> list[Cell]:
    """Free cells next to a cell, in the order of `MOVES`."""
    adjacent = [(cell[0] + dy, cell[1] + dx) for dy, dx in MOVES.values()]
    return [c for c in adjacent if 0 <= c[0] < size and 0 <= c[1] < size and c not in walls]


def shortest_paths(start: Cell, goal: Cell, size: int, walls: set[Cell]) -> tuple[int, int]:
    """(moves, number of shortest paths); (-1, 0) if there is none. Breadth first."""
    layer, moves, seen = {start: 1}, 0, {start}
    while layer:
        if goal in layer:
            return moves, layer[goal]
        following: dict[Cell, int] = {}
        for cell, ways in layer.items():
            for other in neighbours(cell, size, walls):
                if other not in seen:
                    following[other] = following.get(other, 0) + ways
        seen |= set(following)
        layer, moves = following, moves + 1
    return -1, 0


class Maze:
    name = "maze"
    skins = ("plain", "drawn")

    def problem(self, rng: random.Random, size: int, skin: str = "plain") -> Problem:
        """A maze of `size` x `size` cells whose only shortest path has at least `size` moves."""
        if size < 2:
            raise ConfigError(f"maze of size {size}: take 2 or more rows")
        cells = [(y, x) for y in range(size) for x in range(size)]
        for _ in range(_TRIES):
            count = max(1, round(rng.uniform(*WALLS) * size * size))
            walls = set(rng.sample(cells, count))
            start, goal = rng.sample([cell for cell in cells if cell not in walls], 2)
            moves, ways = shortest_paths(start, goal, size, walls)
            if ways == 1 and moves >= size:
                facts = {"side": size, "walls": sorted(map(list, walls)), "start": list(start), "goal": list(goal)}
                question = _question(facts, skin)
                return Problem(self.name, size, skin, question, tuple(self.steps(facts)), self.answer(facts), facts)
        raise ConfigError(f"maze of size {size}: no maze with one shortest path in {_TRIES} tries; take fewer rows")

    def steps(self, facts: dict[str, Any]) -> list[str]:
        """A* with ties broken by the lower h, then by row and column."""
        size, walls, start, goal = _grid(facts)
        costs, closed, out = {start: 0}, set(), [_step("open", start, 0, goal)]
        while goal not in closed:
            best = min((cell for cell in costs if cell not in closed), key=lambda c: _order(c, costs[c], goal))
            closed.add(best)
            out.append(_step("close", best, costs[best], goal))
            for cell in neighbours(best, size, walls) if best != goal else ():
                if cell not in closed and costs[best] + 1 < costs.get(cell, size * size + 1):
                    costs[cell] = costs[best] + 1
                    out.append(_step("open", cell, costs[cell], goal))
        return out

    def answer(self, facts: dict[str, Any]) -> str:
        """The moves of the shortest path, separated by blanks, read from the distances to the goal."""
        size, walls, start, goal = _grid(facts)
        far, layer = {goal: 0}, [goal]
        for cell in layer:
            for other in neighbours(cell, size, walls):
                if other not in far:
                    far[other] = far[cell] + 1
                    layer.append(other)
        at, out = start, []
        while at != goal:
            for letter, (dy, dx) in MOVES.items():
                then = (at[0] + dy, at[1] + dx)
                if far.get(then, size * size) == far[at] - 1:
                    out.append(letter)
                    at = then
                    break
        return " ".join(out)

    def local_error(self, facts: dict[str, Any], index: int, previous: str | None, step: str) -> tuple[str, str] | None:
        """A fault that does not depend on the lists: a wall, a wrong distance, no neighbour of the last cell."""
        read = _STEP.fullmatch(step)
        if not read:
            return "unreadable", f"{step!r} is not 'open y x g n h m.' or 'close y x g n h m.'"
        size, walls, start, goal = _grid(facts)
        cell, g, h = (int(read[2]), int(read[3])), int(read[4]), int(read[5])
        if max(cell) >= size or cell in walls:
            return "wrong_premise", f"{cell} is {'a wall' if cell in walls else 'outside'}"
        if h != distance(cell, goal):
            return "wrong_result", f"{cell} is {distance(cell, goal)} from the goal, not {h}"
        if previous is None and (read[1], cell, g) != ("open", start, 0):
            return "broken_link", f"a search begins with 'open {start[0]} {start[1]} g 0'"
        before = _STEP.fullmatch(previous or "")
        if before and before[1] == "close" and read[1] == "open":
            came, cost = (int(before[2]), int(before[3])), int(before[4])
            if cell not in neighbours(came, size, walls):
                return "broken_link", f"{cell} is not beside {came}, which was closed last"
            if g != cost + 1:
                return "wrong_result", f"{cell} costs {cost + 1} from {came}, not {g}"
        return None

    def first_error(self, facts: dict[str, Any], steps: list[str], conclusion: str | None) -> Violation | None:
        """The first step that no A* search of this maze could make at that point."""
        replay, previous = Replay(facts), None
        for index, step in enumerate(steps):
            fault = self.local_error(facts, index, previous, step) or replay.take(step)
            if fault:
                return Violation(index, *fault)
            previous = step
        if replay.goal not in replay.closed:
            return Violation(len(steps), "missing_step", f"the goal {replay.goal} was not closed")
        if conclusion is None or conclusion.split() != self.answer(facts).split():
            return Violation(len(steps), "wrong_conclusion", f"{conclusion!r}; the path is {self.answer(facts)}")
        return None


class Replay:
    """The open and the closed list of a search, updated step by step."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.size, self.walls, self.start, self.goal = _grid(facts)
        self.open: dict[Cell, int] = {}
        self.closed: dict[Cell, int] = {}
        self.last: Cell | None = None

    def take(self, step: str) -> tuple[str, str] | None:
        """Apply a readable step; (kind, message) if A* can't make it now."""
        read = _STEP.fullmatch(step)
        assert read is not None
        cell, g = (int(read[2]), int(read[3])), int(read[4])
        if self.goal in self.closed:
            return "extra_step", f"{step!r} after the goal was closed"
        return self._opened(cell, g) if read[1] == "open" else self._closed(cell, g)

    def _opened(self, cell: Cell, g: int) -> tuple[str, str] | None:
        if self.last is None and self.open:
            return "broken_link", f"{cell} is opened before any cell was closed"
        if self.last is not None:
            if cell not in neighbours(self.last, self.size, self.walls):
                return "broken_link", f"{cell} is not beside {self.last}, which was closed last"
            if g != self.closed[self.last] + 1:
                return "wrong_result", f"{cell} costs {self.closed[self.last] + 1} from {self.last}, not {g}"
        held = min(self.open.get(cell, g + 1), self.closed.get(cell, g + 1))
        if held <= g:
            return "reopened", f"{cell} is held already at g {held}"
        self.open[cell] = g
        return None

    def _closed(self, cell: Cell, g: int) -> tuple[str, str] | None:
        if forgotten := self._forgotten():
            return "missing_step", f"{forgotten[0]}, beside {self.last}, was not opened"
        if self.open.get(cell) != g:
            held = f"at g {self.open[cell]}" if cell in self.open else "not at all"
            return "not_open", f"{cell} at g {g} is closed; the open list holds it {held}"
        best = min(self.open, key=lambda c: self.open[c] + distance(c, self.goal))
        least = self.open[best] + distance(best, self.goal)
        if g + distance(cell, self.goal) > least:
            return "not_best", f"{best} is open at g + h = {least}, {cell} has {g + distance(cell, self.goal)}"
        self.closed[cell] = self.open.pop(cell)
        self.last = cell
        return None

    def _forgotten(self) -> list[Cell]:
        """Neighbours of the cell closed last that should have been opened, or opened at a lower cost."""
        if self.last is None:
            return []
        g = self.closed[self.last] + 1
        held = {**self.open, **self.closed}
        return [c for c in neighbours(self.last, self.size, self.walls) if held.get(c, g + 1) > g]


def _grid(facts: dict[str, Any]) -> tuple[int, set[Cell], Cell, Cell]:
    walls = {(y, x) for y, x in facts["walls"]}
    return facts["side"], walls, (facts["start"][0], facts["start"][1]), (facts["goal"][0], facts["goal"][1])


def _step(word: str, cell: Cell, g: int, goal: Cell) -> str:
    return f"{word} {cell[0]} {cell[1]} g {g} h {distance(cell, goal)}."


def _order(cell: Cell, g: int, goal: Cell) -> tuple[int, int, Cell]:
    return g + distance(cell, goal), distance(cell, goal), cell


def _question(facts: dict[str, Any], skin: str) -> str:
    size, walls, start, goal = _grid(facts)
    if skin == "plain":
        cells = ", ".join(f"{y} {x}" for y, x in sorted(walls))
        ends = f"Start at {start[0]} {start[1]}, goal at {goal[0]} {goal[1]}."
        return f"Maze of {size} rows and {size} columns. Walls: {cells}. {ends} {_ASK}"
    signs = {**dict.fromkeys(walls, "x"), start: "s", goal: "g"}
    rows = [" ".join(signs.get((y, x), "o") for x in range(size)) for y in range(size)]
    return f"Maze: {' / '.join(rows)}. Walls are x, the start is s, the goal is g. {_ASK}"


FAMILY = Maze()
