"""Endings, stop strings and character spans."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.records import Finish
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.loop.text import Decoder, StopFinder
from elicit.tasks.task import StopRules
from tests.sampling.models import prompts, tiny_model, tokenizer


def encoded(text: str) -> tuple[int, ...]:
    return tuple(tokenizer()(text).input_ids)


def forced(text: str, strings: tuple[str, ...], limit: int = 60, tail: tuple[int, ...] = ()) -> Path:
    """The path of a model that is made to write `text`."""
    loop = StepLoop(tiny_model(), tokenizer(), {1})
    job = PathJob(prompts(1)[0], 0, forced=(*encoded(text), *tail))
    return loop.run([job], PickRule(), StopRules(strings, limit))[0]


class Scripted(torch.nn.Module):
    """A tiny model whose greedy continuation of any prompt of P tokens is a given text."""

    def __init__(self, script: tuple[int, ...], prompt: int) -> None:
        super().__init__()
        self.inner = tiny_model()
        self.config, self.base_model_prefix = self.inner.config, "inner"
        self.script, self.prompt = script, prompt

    def get_input_embeddings(self) -> Any:
        return self.inner.get_input_embeddings()

    def get_output_embeddings(self) -> None:
        """None: the logits of the script are added after the head, for every token."""

    def forward(self, input_ids: Any, position_ids: Any, attention_mask: Any = None, **more: Any) -> Any:
        out = self.inner(input_ids=input_ids, position_ids=position_ids, attention_mask=attention_mask, **more)
        kept = position_ids[:, -out.logits.shape[1] :] - self.prompt + 1
        wanted = torch.tensor(self.script)[kept.clamp(0, len(self.script) - 1)]
        out.logits = out.logits + 1000 * torch.nn.functional.one_hot(wanted, out.logits.shape[-1])
        return out


def scripted(text: str, strings: tuple[str, ...], check_every: int = 1, limit: int = 60) -> Path:
    """The same by generation, token after token."""
    prompt = prompts(1)[0]
    model = Scripted((*encoded(text), 1), len(prompt))
    loop = StepLoop(model, tokenizer(), {1}, check_every=check_every, cached=True)
    return loop.run([PathJob(prompt, 0)], PickRule(temperature=0), StopRules(strings, limit))[0]


QUESTION = ("\n\nQuestion:", "\nQuestion:")


@pytest.mark.parametrize("make", [forced, scripted, lambda text, strings: scripted(text, strings, check_every=5)])
def test_a_stop_string_that_spans_tokens_ends_the_path_and_is_cut_off(make: Any) -> None:
    text = "The answer is 7.\n\nQuestion: Add"
    path = make(text, QUESTION)
    assert path.finish == Finish.STOP and path.text == "The answer is 7."
    assert StepLoop(tiny_model(), tokenizer(), {1}).decode(path.token_ids) == "The answer is 7.\n\nQuestion:"
    assert path.token_ids == list(encoded(text)[: len(path.token_ids)])


def test_the_earliest_of_several_stop_strings_is_the_cut() -> None:
    assert forced("7.\nQuestion: 8", QUESTION).text == "7."
    assert forced("one two three", ("e t", "two")).text == "on"


def test_a_stop_string_inside_a_token_drops_the_rest_of_the_token_from_the_text() -> None:
    text = "The answer is 7."
    path = forced(text, ("nsw",))
    assert path.finish == Finish.STOP and path.text == "The a"
    assert len(path.token_ids) < len(encoded(text))


@pytest.mark.parametrize("string", ["caf\u00e9", "\u00e9 ", "7. ", "\n"])
def test_stop_strings_of_torn_characters_and_blanks_are_found(string: str) -> None:
    text = "Add 7. caf\u00e9 na\u00efve\n"
    assert forced(text, (string,)).text == text[: text.index(string)]
    assert scripted(text, (string,)).text == text[: text.index(string)]


@settings(max_examples=60, deadline=None)
@given(st.text("aAdQ7.:\n \u00e9\u4e2d", max_size=30), st.text("aAdQ7.:\n \u00e9\u4e2d", min_size=1, max_size=4))
def test_the_finder_stops_at_the_first_token_after_which_the_text_holds_the_string(text: str, string: str) -> None:
    decoder = Decoder(tokenizer(), {1})
    finder, ids = StopFinder(decoder, [string], len(tokenizer())), list(encoded(text))
    expected = next((n for n in range(1, len(ids) + 1) if string in decoder.decode(ids[:n])), None)
    found = [n for n in range(1, len(ids) + 1) if finder.may_end_V[ids[n - 1]] and finder.cut(ids[:n]) is not None]
    assert (found[0] if found else None) == expected
    if expected is not None:
        assert finder.cut(ids[:expected]) == text[: text.index(string)]


def test_every_ending_has_its_name() -> None:
    assert forced("The answer", (), limit=3).finish == Finish.LENGTH
    eos = forced("The answer is 7.", QUESTION, tail=(1, 5, 6))
    assert eos.finish == Finish.EOS and eos.token_ids[-1] == 1 and eos.text == "The answer is 7."
    assert forced("7.\nQuestion: 1", QUESTION).finish == Finish.STOP
    assert scripted("The answer is 7.", QUESTION).finish == Finish.EOS


def test_an_ending_at_the_very_limit_is_still_that_ending() -> None:
    ids = encoded("The answer is 7.")
    assert scripted("The answer is 7.", (), limit=len(ids) + 1).finish == Finish.EOS
    assert scripted("The answer is 7.", (), limit=len(ids)).finish == Finish.LENGTH
    assert scripted("The answer is 7.", ("7.",), limit=len(ids)).finish == Finish.STOP


def test_a_path_has_as_many_scalars_as_tokens() -> None:
    for path in (forced("The answer is 7.", (), limit=4), scripted("7.\nQuestion: 1", QUESTION)):
        lengths = {len(x) for x in (path.token_ids, path.logprobs, path.gaps, path.confidences, path.log_z)}
        assert len(lengths) == 1


@settings(max_examples=80, deadline=None)
@given(st.text("aAd7. \n\u00e9\u4e2d\U0001f600", max_size=25), st.lists(st.integers(0, 299), max_size=6))
def test_spans_cover_the_decoded_text_in_order(text: str, junk: list[int]) -> None:
    decoder = Decoder(tokenizer(), {1})
    for ids in ([*encoded(text), 1], [*junk, *encoded(text), *junk]):
        whole, spans = decoder.decode(ids), decoder.offsets(ids)
        assert len(spans) == len(ids)
        covered: set[int] = set()
        for (start, end), token in zip(spans, ids, strict=True):
            assert 0 <= start <= end <= len(whole)
            assert (start == end) or token not in decoder.silent
            covered |= set(range(start, end))
        assert covered == set(range(len(whole)))
        assert [start for start, _ in spans] == sorted(start for start, _ in spans)


def test_the_span_of_a_token_is_its_text() -> None:
    decoder, ids = Decoder(tokenizer(), {1}), list(encoded("The answer is 42.\nQuestion"))
    text = decoder.decode(ids)
    for token, (start, end) in zip(ids, decoder.offsets(ids), strict=True):
        assert tokenizer().decode([token]) == text[start:end]


def test_tokens_that_share_a_character_all_span_it() -> None:
    decoder, ids = Decoder(tokenizer(), {1}), list(encoded("\u4e2d"))
    assert len(ids) == 3 and decoder.offsets([*ids, 1]) == [(0, 1)] * 3 + [(1, 1)]
