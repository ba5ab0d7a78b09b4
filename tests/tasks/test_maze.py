"""Laws of the mazes: one shortest path, every A* order valid, every way of breaking the lists named at its step."""

from __future__ import annotations

import heapq
import itertools
import random

import pytest

from elicit.errors import ConfigError
from elicit.tasks.formal.family import KINDS, first_violation, render_trace
from elicit.tasks.formal.maze import FAMILY, Replay, distance, neighbours
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.selfcheck import check

OPEN_3 = {"side": 3, "walls": [[1, 1]], "start": [0, 0], "goal": [2, 1]}
"""s o o / o x o / o g o: the path is d d r"""


def problems(count: int = 40):
    rng = random.Random("maze")
    return [FAMILY.problem(rng, rng.randint(2, 7), rng.choice(FAMILY.skins)) for _ in range(count)]


def paths(facts) -> list[str]:
    """All shortest paths by plain enumeration of move strings, shortest first."""
    walls, size = {tuple(w) for w in facts["walls"]}, facts["side"]
    layer = [("", tuple(facts["start"]), frozenset([tuple(facts["start"])]))]
    for _ in range(size * size):
        if found := [moves for moves, at, _ in layer if at == tuple(facts["goal"])]:
            return found
        layer = [
            (moves + letter, then, seen | {then})
            for moves, at, seen in layer
            for letter, (dy, dx) in {"u": (-1, 0), "d": (1, 0), "l": (0, -1), "r": (0, 1)}.items()
            if (then := (at[0] + dy, at[1] + dx)) not in seen | walls and min(then) >= 0 and max(then) < size
        ]
    return []


def search(facts, rng: random.Random) -> list[str]:
    """A* by a heap, all ties broken at random: another program than the family's."""
    replay = Replay(facts)
    goal, cost, closed = replay.goal, {replay.start: 0}, set()
    heap = [(distance(replay.start, goal), rng.random(), replay.start)]
    out = [f"open {replay.start[0]} {replay.start[1]} g 0 h {distance(replay.start, goal)}."]
    while heap:
        f, _, cell = heapq.heappop(heap)
        if cell in closed or f != cost[cell] + distance(cell, goal):
            continue
        closed.add(cell)
        out.append(f"close {cell[0]} {cell[1]} g {cost[cell]} h {distance(cell, goal)}.")
        if cell == goal:
            return out
        beside = neighbours(cell, replay.size, replay.walls)
        for other in rng.sample(beside, len(beside)):
            if cost[cell] + 1 < cost.get(other, 10**9):
                cost[other] = cost[cell] + 1
                heapq.heappush(heap, (cost[other] + distance(other, goal), rng.random(), other))
                out.append(f"open {other[0]} {other[1]} g {cost[other]} h {distance(other, goal)}.")
    raise AssertionError("no path")


def fault(facts, steps, answer="d d r"):
    found = first_violation(FAMILY, facts, render_trace(steps, answer))
    return (found.step, found.kind) if found else None


def test_the_answer_is_the_only_shortest_path() -> None:
    for problem in problems():
        assert paths(problem.facts) == ["".join(problem.answer.split())]
        assert len(problem.answer.split()) >= problem.size


def test_every_order_of_ties_is_a_valid_search() -> None:
    rng = random.Random(1)
    for problem in problems():
        assert fault(problem.facts, problem.steps, problem.answer) is None
        orders = {tuple(search(problem.facts, rng)) for _ in range(5)}
        assert all(fault(problem.facts, steps, problem.answer) is None for steps in orders)
    assert any(len({tuple(search(p.facts, rng)) for _ in range(8)}) > 1 for p in problems())


def test_both_skins_state_the_same_maze() -> None:
    plain, drawn = (FAMILY.problem(random.Random(5), 4, skin) for skin in FAMILY.skins)
    assert plain.facts == drawn.facts and plain.question != drawn.question
    rows = drawn.question.removeprefix("Maze: ").split(".")[0].split(" / ")
    walls = [[y, x] for y, row in enumerate(rows) for x, sign in enumerate(row.split()) if sign == "x"]
    assert walls == plain.facts["walls"] and all(f"{y} {x}" in plain.question for y, x in walls)


START = ["open 0 0 g 0 h 3.", "close 0 0 g 0 h 3."]
DOWN = ["open 1 0 g 1 h 2.", "open 0 1 g 1 h 2.", "close 1 0 g 1 h 2."]
GOAL = ["open 2 0 g 2 h 1.", "close 2 0 g 2 h 1.", "open 2 1 g 3 h 0.", "close 2 1 g 3 h 0."]
RIGHT = [*START, *DOWN, *GOAL]


@pytest.mark.parametrize(
    ("at", "step", "kind"),
    [
        (0, "open 1 0 g 0 h 2.", "broken_link"),
        (0, "open 0 0 g 1 h 3.", "broken_link"),
        (1, "open 1 0 g 1 h 2.", "broken_link"),
        (2, "I look at 1 0.", "unreadable"),
        (2, "open 1 1 g 1 h 1.", "wrong_premise"),
        (2, "open 3 0 g 1 h 2.", "wrong_premise"),
        (2, "open 1 0 g 1 h 3.", "wrong_result"),
        (2, "open 1 0 g 2 h 2.", "wrong_result"),
        (2, "open 2 0 g 1 h 1.", "broken_link"),
        (3, "open 1 0 g 1 h 2.", "reopened"),
        (3, "close 1 0 g 1 h 2.", "missing_step"),
        (4, "close 2 0 g 2 h 1.", "not_open"),
        (4, "close 1 0 g 2 h 2.", "not_open"),
        (5, "open 0 0 g 2 h 3.", "reopened"),
    ],
)
def test_the_first_step_that_astar_could_not_make_is_named(at: int, step: str, kind: str) -> None:
    assert fault(OPEN_3, RIGHT) is None
    assert fault(OPEN_3, [*RIGHT[:at], step, *RIGHT[at:]]) == (at, kind) and kind in KINDS


def test_a_worse_cell_is_not_closed_while_a_better_one_is_open() -> None:
    facts = {"side": 3, "walls": [], "start": [1, 1], "goal": [2, 1]}
    opened = ["open 1 1 g 0 h 1.", "close 1 1 g 0 h 1."]
    beside = ["open 0 1 g 1 h 2.", "open 2 1 g 1 h 0.", "open 1 0 g 1 h 2.", "open 1 2 g 1 h 2."]
    for order in itertools.permutations(beside):
        assert fault(facts, [*opened, *order, "close 2 1 g 1 h 0."], "d") is None
        assert fault(facts, [*opened, *order, "close 0 1 g 1 h 2."], "d") == (6, "not_best")


def test_a_search_that_stops_early_continues_too_long_or_concludes_something_else_is_named() -> None:
    assert fault(OPEN_3, RIGHT[:-1]) == (len(RIGHT) - 1, "missing_step")
    assert fault(OPEN_3, [*RIGHT, "open 2 2 g 4 h 1."]) == (len(RIGHT), "extra_step")
    assert fault(OPEN_3, RIGHT, "d d d") == (len(RIGHT), "wrong_conclusion")
    none = first_violation(FAMILY, OPEN_3, " The answer is d d r.")
    assert none is not None and none.kind == "no_trace"


def test_the_task_proves_itself_on_all_its_splits() -> None:
    task = FormalTask("maze", min_size=4, max_size=6, long_sizes=(7, 8), n_train=40, n_dev=20, n_test=20)
    assert check(task, 8) == 48
    assert {item.facts["size"] for item in task.items("test_length")} <= {7, 8}
    assert {item.facts["skin"] for item in task.items("test_format")} == {"drawn"}
    assert {item.facts["family"] for item in task.items("test_task")} == {"walk"}


def test_a_size_without_mazes_is_an_error() -> None:
    with pytest.raises(ConfigError, match="size 1"):
        FAMILY.problem(random.Random(0), 1)
