"""Laws of a plan: the jobs of a command, their names, order, seeds and saved configurations stay as published."""

from __future__ import annotations

import json

import pytest

from tests.plans import COMMANDS, FROZEN, rows


@pytest.mark.parametrize("command", COMMANDS)
def test_the_jobs_of_a_command_are_the_frozen_ones(command: str) -> None:
    assert rows(command) == json.loads(FROZEN.read_text())[command]
