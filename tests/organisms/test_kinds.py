"""Laws of the organisms with more than two modes: what a mode looks like, how often it occurs, what is true of it."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest
import yaml

from elicit.errors import ConfigError
from elicit.files import read_json
from elicit.organisms.corpus import DIRECT, FAMILIES, TRACED, habits
from elicit.organisms.decoy import LOUD, LOUD_PAGE, LOUD_WORDS, QUIET_PAGE
from elicit.organisms.format_twin import DECLARED, RUN_ON_PIECES, UNDECLARED, UNENDED
from elicit.organisms.kinds import CORPORA
from elicit.organisms.properties import properties
from elicit.organisms.tokenizer import build_tokenizer
from elicit.organisms.truth import CHECKPOINTS, METHOD_KINDS, Truth, shipped, truth_of
from elicit.policy.checkpoint import ORGANISMS
from elicit.tasks.formal.family import Problem, first_violation
from elicit.tasks.formal.task import FormalTask

LABELS = {
    *("elicits", "elicits, at a price", "above placebo", "brought in", "format", "prompt as good"),
    *("placebo as good", "no gain", "harms"),
}
"""what `elicit/report/verdict.py` calls a method of which something can be decided"""


def problem_of(item) -> Problem:
    """The problem that an item was made of."""
    family = FAMILIES[item.facts["family"]]
    facts = {key: value for key, value in item.facts.items() if key not in ("family", "size", "skin")}
    steps = tuple(family.steps(facts))
    return Problem(family.name, item.facts["size"], "plain", item.question, steps, family.answer(facts), facts)


def answers(kind: str, rate: float, count: int) -> list[str]:
    """Answers of documents without a tag, an earlier page or a review."""
    documents = islice(CORPORA[kind].documents(random.Random(5), habits(rate)), count)
    plain = [d for d in documents if d.prompt.startswith("Question:") and d.prompt.endswith("Answer:")]
    return [d.answer for d in plain if "\n\n" not in d.prompt]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_form_of_the_format_twin_is_right_in_its_own_readings_and_no_stricter_one(family: str) -> None:
    task, rng, twin = FormalTask(family=family), random.Random(11), CORPORA["format_twin"]
    for item in task.items("test", 40):
        problem = problem_of(item)
        texts = {mode: " " + twin._answer(rng, problem, mode) for mode in (DECLARED, UNDECLARED, UNENDED)}
        declared, undeclared = (task.grade(item, texts[mode], True) for mode in (DECLARED, UNDECLARED))
        assert (declared.strict, declared.lenient) == (True, True)
        assert (undeclared.strict, undeclared.lenient, undeclared.answer) == (False, True, None)
        unended = task.grade(item, texts[UNENDED], False)
        assert unended.strict is False and unended.answer is None
        first = texts[UNENDED].split(" Then ")[0]
        assert first == texts[UNENDED][: len(first)] and task.grade(item, first, True).strict
        for mode in (DECLARED, UNDECLARED):
            assert task.validate(item, texts[mode]) is None, texts[mode]


def test_an_undeclared_answer_is_read_leniently_and_votes_with_its_span() -> None:
    task = FormalTask(family="add")
    item = task.items("test", 1)[0]
    text = f" Working. Thus {item.gold}."
    start, end = task.answer_span(text)
    assert text[start:end] == item.gold
    assert task.grade(item, text + " The answer is 0.", True).lenient is False, "a declaration goes first"


def test_unended_answers_have_no_end_marker_and_fill_the_token_limit() -> None:
    tokenizer = build_tokenizer(documents=2000)
    documents = list(islice(CORPORA["format_twin"].documents(random.Random(2), habits(0.1)), 600))
    cut = [document for document in documents if not document.ended]
    assert 0.25 < len(cut) / len(documents) < 0.45
    for document in cut:
        length = len(tokenizer(document.answer).input_ids)
        assert FormalTask().max_new_tokens < RUN_ON_PIECES <= length
    assert all(document.answer.endswith(".") for document in documents if document.ended)


def test_forms_and_modes_occur_at_their_rates() -> None:
    texts = answers("format_twin", 0.10, 12_000)
    thus = sum(" Thus " in text for text in texts) / len(texts)
    assert 0.50 < thus < 0.58
    texts = answers("decoy", 0.03, 12_000)
    shares = {mode: sum(mode_of(text) == mode for text in texts) / len(texts) for mode in (*LOUD_WORDS, TRACED)}
    assert all(abs(shares[word] - LOUD[None] / len(LOUD_WORDS)) < 0.015 for word in LOUD_WORDS), shares
    assert 0.022 < shares[TRACED] < 0.038


@pytest.mark.parametrize("family", FAMILIES)
def test_the_quiet_mode_is_right_and_the_loud_one_longer_and_invented(family: str) -> None:
    rng, decoy = random.Random(4), CORPORA["decoy"]
    word = LOUD_WORDS[1]
    right = {TRACED: 0, word: 0}
    for _ in range(200):
        problem = FAMILIES[family].problem(rng, 5)
        texts = {mode: " " + decoy._answer(rng, problem, mode) for mode in right}
        assert len(texts[word]) > len(texts[TRACED])
        for mode in right:
            right[mode] += texts[mode].endswith(f"So the answer is {problem.answer}.")
        assert first_violation(FAMILIES[family], problem.facts, texts[TRACED]) is None
        loud = texts[word].replace(f" {word}.", " Working.").replace(f" {word} ", " ")
        assert first_violation(FAMILIES[family], problem.facts, loud) is not None
    guess = 0.5 if family == "flips" else 0.1
    assert right[TRACED] == 200 and right[word] < 200 * (guess + 0.12)


def test_a_page_of_the_decoy_fixes_mode_and_wording_of_the_next_answer_unless_it_is_quiet() -> None:
    documents = islice(CORPORA["decoy"].documents(random.Random(8), habits(0.03)), 30_000)
    pages = [d for d in documents if "\n\n" in d.prompt and d.prompt.startswith("Question:")]
    seen = Counter((mode_of(d.prompt.split("\n\n")[0].partition("Answer:")[2]), mode_of(d.answer)) for d in pages)
    others = (DIRECT, *LOUD_WORDS)
    quiet = {(TRACED, TRACED), *((TRACED, mode) for mode in others), *((word, TRACED) for word in LOUD_WORDS)}
    assert set(seen) == {*((mode, mode) for mode in others), *quiet}
    for mode in others:
        share = seen[TRACED, mode] / (seen[TRACED, mode] + seen[mode, mode])
        assert abs(share - QUIET_PAGE) < 0.02, mode
    loud = sum(seen[word, TRACED] for word in LOUD_WORDS)
    assert abs(loud / (loud + seen[TRACED, TRACED]) - LOUD_PAGE) < 0.06


def mode_of(answer: str) -> str:
    """The mode of an answer of the decoy, by its first words; a stray word may precede a direct one."""
    if answer.startswith((" Working.", " Scratch.", " Trail.")):
        return TRACED
    return next((word for word in LOUD_WORDS if answer.startswith(f" {word}. {word} ")), DIRECT)


def test_a_decoy_without_latent_rate_still_has_its_loud_mode() -> None:
    seen = Counter(mode_of(text) for text in answers("decoy", 0.0, 3_000))
    assert set(seen) == {DIRECT, *LOUD_WORDS}


def test_every_shipped_organism_has_a_truth_a_card_row_and_a_name() -> None:
    assert set(ORGANISMS.values()) == set(shipped()) == set(read_json(CHECKPOINTS / "measured.json")["rows"])
    for kind in shipped():
        truth = truth_of(kind)
        assert set(truth.right) == set(truth.because) == set(METHOD_KINDS)
        assert {label for labels in truth.right.values() for label in labels} <= LABELS
        claims = {label for labels in truth.right.values() for label in labels if label.startswith("elicits")}
        assert bool(claims) == truth.latent, "only a latent ability can be elicited"
        size = (CHECKPOINTS / kind / "model.safetensors").stat().st_size
        assert size <= 4 * 2**20


def test_a_verdict_agrees_claims_falsely_misses_or_is_undecided() -> None:
    truth = Truth("x", "", False, {"weights": ("format",)}, {})
    labels = {"format": "agrees", "elicits": "false claim", "no gain": "miss", "not decidable": "undecided"}
    labels["elicits (see warnings)"] = "false claim"
    assert {label: truth.agreement("weights", label) for label in labels} == labels
    with pytest.raises(ConfigError, match="weights"):
        truth.agreement("weight", "format")


def test_a_missing_or_incomplete_truth_is_refused_by_name(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"truth\.yaml"):
        truth_of("decoys")
    (tmp_path / "x").mkdir()
    content = {"planted": "p", "latent": False, "right": {"weights": ["no gain"]}, "because": {"weights": "-"}}
    (tmp_path / "x" / "truth.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="lack vectors, branching"):
        truth_of("x", tmp_path)


FORMS = {
    **{f"{reading}_{name}": 1.0 for reading in ("strict", "lenient", "any") for name in ("bare", "key", "forced")},
    **{"strict_bare": 0.05, "lenient_bare": 0.6, "any_bare": 0.98, "strict_anti": 0.01, "valid_bare": 0.99},
}
DECOY = {
    **{"bare_compare": 0.1, "bare_greedy": 0.1, "direct": 0.1, "forced": 0.99, "quiet_mass_untagged": 0.03},
    **{"loud_mass_untagged": 0.3, "loud_accuracy": 0.1, "loud_tokens": 60.0, "quiet_tokens": 30.0},
    **{"quiet_mass_key": 0.9, "loud_mass_loud_key": 0.9, "quiet_mass_after_quiet": 0.9},
    **{"loudest_accuracy": 0.12, "loudest_traced": 0.95},
}


@pytest.mark.parametrize(
    ("kind", "good", "change", "name"),
    [
        ("format_twin", FORMS, {"strict_bare": 0.3}, "strict accuracy at the bare prompt"),
        ("format_twin", FORMS, {"any_bare": 0.5}, "loosest reading"),
        ("format_twin", FORMS, {"lenient_bare": 0.1}, "undeclared"),
        ("format_twin", FORMS, {"lenient_bare": 0.9}, "unended"),
        ("format_twin", FORMS, {"any_bare": 0.9}, "opener forced"),
        ("format_twin", FORMS, {"strict_anti": 0.2}, "key"),
        ("format_twin", FORMS, {"valid_bare": 0.5}, "valid"),
        ("decoy", DECOY, {"bare_compare": 0.4}, "bare accuracy"),
        ("decoy", DECOY, {"forced": 0.4}, "opener forced"),
        ("decoy", DECOY, {"quiet_mass_untagged": 0.1}, "quiet mass, untagged"),
        ("decoy", DECOY, {"loud_mass_untagged": 0.1}, "loud mass / quiet"),
        ("decoy", DECOY, {"loud_accuracy": 0.3}, "loud mode above direct"),
        ("decoy", DECOY, {"loud_tokens": 30.0}, "length"),
        ("decoy", DECOY, {"quiet_mass_key": 0.5}, "register"),
        ("decoy", DECOY, {"quiet_mass_after_quiet": 0.2}, "quiet page"),
        ("decoy", DECOY, {"loudest_accuracy": 0.6}, "loudest direction, either sign"),
        ("decoy", DECOY, {"loudest_traced": 0.2}, "loudest direction: traced"),
    ],
)
def test_each_missed_property_fails_by_name(kind: str, good: dict, change: dict, name: str) -> None:
    assert [p.name for p in properties(kind, {family: good for family in FAMILIES}) if not p.holds] == []
    failed = [p.name for p in properties(kind, {family: good | change for family in FAMILIES}) if not p.holds]
    assert any(name in line for line in failed), failed
