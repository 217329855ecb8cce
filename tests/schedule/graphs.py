"""Random graphs of steps, and the fewest bytes that any plan of one can do with, by trying all of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

from uc_nn_pio.schedule import Problem, Step

UNIT = 4


def random_problem(seed: int, steps: int, largest: int, scratch: bool = True) -> Problem:
    """A graph of ``steps`` steps with one or two inputs: branches, joins, chains; sizes up to ``largest`` words."""
    rng = random.Random(seed)
    inputs = tuple(f"x{i}" for i in range(rng.choice((1, 1, 2))))
    sizes = {name: UNIT * rng.randint(1, largest) for name in inputs}
    made: list[Step] = []
    for index in range(steps):
        unread = [n for n in sizes if not any(n in step.reads for step in made)]
        reads = {rng.choice(unread or list(sizes))}
        if rng.random() < 0.5:
            reads.add(rng.choice(list(sizes)))
        names = tuple(sorted(reads))
        joined = len(names) > 1 and rng.random() < 0.3
        size = sum(sizes[n] for n in names) if joined else UNIT * rng.randint(1, largest)
        if not joined and rng.random() < 0.4:
            size = max(sizes[n] for n in names)
        output = f"t{index}"
        over = tuple((n, size - sizes[n]) for n in names if joined or sizes[n] == size)
        if rng.random() < 0.4:
            over = ()
        extra = UNIT * rng.randint(1, largest) if scratch and rng.random() < 0.3 else 0
        sizes[output] = size
        made.append(Step(f"s{index}", names, (output,), extra, over))
    outputs = tuple(n for n in sizes if not any(n in step.reads for step in made))
    return Problem(tuple(made), sizes, inputs, outputs)


def orders(problem: Problem) -> Iterator[Problem]:
    """The problem with its steps in every order in which they can run."""
    for steps in itertools.permutations(problem.steps):
        there = set(problem.inputs)
        for step in steps:
            if not set(step.reads) <= there:
                break
            there.update(step.writes)
        else:
            yield replace(problem, steps=steps)


def fewest_bytes(problem: Problem) -> int:
    """Of all plans of the steps in their order."""
    total = UNIT
    while not _fits(problem, total):
        total += UNIT
    return total


def _fits(problem: Problem, total: int) -> bool:
    """Whether all buffers and scratch have places in ``total`` bytes: every offset of every one is tried."""
    items = [(name, problem.sizes[name], problem.lifetime(name)) for name in problem.sizes]
    items += [(step.name, step.scratch, (i, i)) for i, step in enumerate(problem.steps) if step.scratch]
    items.sort(key=lambda item: -item[1])
    places: dict[str, int] = {}

    def tie(output: str, source: str) -> bool:
        """Whether the output may lie over the source, and does so as its step wants."""
        at, step = next(((i, s) for i, s in enumerate(problem.steps) if output in s.writes), (0, None))
        if step is None or source not in dict(step.over) or problem.lifetime(source)[1] != at:
            return False
        if source in problem.outputs:
            return False
        return places[source] - places[output] == dict(step.over)[source]

    def conflict(a: tuple, b: tuple) -> bool:
        (name, size, life), (other, other_size, other_life) = a, b
        if life[0] > other_life[1] or other_life[0] > life[1]:
            return False
        if places[name] >= places[other] + other_size or places[other] >= places[name] + size:
            return False
        named = name in problem.sizes and other in problem.sizes
        return not (named and (tie(name, other) or tie(other, name)))

    def place(index: int) -> bool:
        if index == len(items):
            return _one_source_each(problem, places)
        item = items[index]
        for offset in range(0, total - item[1] + 1, UNIT):
            places[item[0]] = offset
            if not any(conflict(item, other) for other in items[:index]) and place(index + 1):
                return True
        places.pop(item[0], None)
        return False

    return place(0)


def _one_source_each(problem: Problem, places: dict[str, int]) -> bool:
    """No output lies over two inputs."""
    for step in problem.steps:
        output = step.writes[0]
        begin, end = places[output], places[output] + problem.sizes[output]
        over = [n for n in step.reads if places[n] < end and begin < places[n] + problem.sizes[n]]
        if len(over) > 1:
            return False
    return True
