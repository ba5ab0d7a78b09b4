"""A model that was fed evaluation items is suspect; the same model on items it has not read is not."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import transformers

from elicit.commands.contamination import lines
from elicit.errors import ConfigError, DataError
from elicit.evaluate.contamination import Probe, cut, probe
from elicit.sampling import recall
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.task import make_item
from tests.sampling.models import tokenizer

TASK = FormalTask("chain", min_size=4, max_size=6, long_sizes=(9, 9), n_train=40, n_dev=12, n_test=24)
EOS = 1


class Memoriser(torch.nn.Module):
    """Knows some texts by heart, exactly: after every beginning of one of them its next token has probability ~1.

    After any other beginning the next token follows a fixed table of bigrams, so that unread texts differ in likelihood
    for no reason that has to do with reading. All logits are integers: nothing depends on the machine's arithmetic.
    """

    _is_stateful = True  # keeps no keys and values: the step loop computes whole rows

    def __init__(self, texts: list[tuple[int, ...]], vocabulary: int) -> None:
        super().__init__()
        self.config = transformers.PretrainedConfig(vocab_size=vocabulary)
        generator = torch.Generator().manual_seed(0)
        table_V_V = torch.randint(0, 5, (vocabulary, vocabulary), generator=generator).float()
        self.bigrams_V_V = torch.nn.Parameter(table_V_V, requires_grad=False)
        self.next = {text[:end]: text[end] for text in texts for end in range(1, len(text))}

    def get_output_embeddings(self) -> None:
        """There is no head: tokens are looked up."""

    def forward(self, input_ids, attention_mask=None, **others):
        logits_B_T_V = self.bigrams_V_V[input_ids].clone()
        for row, ids in enumerate(input_ids.tolist()):
            for end in range(1, len(ids) + 1):
                if (token := self.next.get(tuple(ids[:end]))) is not None:
                    logits_B_T_V[row, end - 1, token] = 30.0
        return SimpleNamespace(logits=logits_B_T_V)


@pytest.fixture(scope="module")
def overfed():
    """A checkpoint that knows eight test questions by heart and has read no other."""
    words = tokenizer()
    texts = [(*words(f"Question: {item.question}").input_ids, EOS) for item in TASK.items("test")[:8]]
    return SimpleNamespace(
        model=Memoriser(texts, len(words)),
        tokenizer=words,
        eos_ids=frozenset({EOS}),
        encode=lambda text: words(text).input_ids,
    )


def probed(checkpoint, items):
    return probe(items, partial(recall.recall, checkpoint), partial(recall.nll, checkpoint), Probe(draws=300))


def test_what_was_read_is_continued_word_by_word_and_likelier_than_its_twins(overfed) -> None:
    found = probed(overfed, TASK.items("test")[:8])
    assert found["continuation"]["point"] == found["continuation"]["words"] == 1.0
    for kind in ("renamed", "renumbered"):
        assert found[kind]["first"]["point"] == 1.0 and found[kind]["p"] == pytest.approx(0.2**8)
        assert found[kind]["drop"]["lo"] > 0
        assert found[kind]["exchangeable"]
    assert len(found["suspect"]) == 3 and lines(found)[-1].startswith("suspect: ")


def test_what_was_not_read_is_not_suspect(overfed) -> None:
    found = probed(overfed, TASK.items("test")[12:])
    assert found["suspect"] == [] and found["continuation"]["point"] == 0.0
    assert lines(found)[-1] == "nothing suspect"


def test_the_likelihood_is_that_of_the_question_alone(overfed) -> None:
    text = TASK.items("test")[0].question
    ids = tokenizer()(f"Question: {text}").input_ids
    start = len(tokenizer()("Question:").input_ids)
    with torch.no_grad():
        logs = overfed.model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
    plain = -sum(logs[i - 1, ids[i]].item() for i in range(start, len(ids))) / (len(ids) - start)
    assert recall.nll(overfed, [text])[0] == pytest.approx(plain, rel=1e-4)


def test_a_question_is_cut_between_words() -> None:
    first, rest = cut("one two three four five", 0.6)
    assert first + rest == "one two three four five" and rest.startswith(" ")
    assert cut("oneword", 0.5) == ("oneword", "")


def test_what_a_question_does_not_allow_is_refused_and_never_zero() -> None:
    found = probe([make_item("t", "test", "why?", "1")], lambda parts: [], lambda texts: [1.0] * len(texts))
    assert all("refused" in found[name] for name in ("continuation", "renamed", "renumbered"))
    assert found["suspect"] == [] and "no renamed twins" not in lines(found)[0]


def test_a_likelihood_that_is_no_number_is_an_error_and_settings_are_checked() -> None:
    items = TASK.items("test")[:2]
    with pytest.raises(DataError, match=f"NLL of item {items[0].id}"):
        probe(items, lambda parts: ["" for _ in parts], lambda texts: [math.nan] * len(texts))
    with pytest.raises(ConfigError, match="no item"):
        probe([], lambda parts: [], lambda texts: [])
    with pytest.raises(ConfigError, match="share=1"):
        Probe(share=1.0)


def answered(known: set[str], share: float = 0.4) -> dict:
    """A base that states the right answer of the items that it has read, and 7 for every other."""
    items = [make_item("toy", "test", f"what is {i} and {i} and {i} together", str(3 * i)) for i in range(40)]
    gold = {cut(item.question, share)[0]: item.gold if item.id in known else "7" for item in items}

    def judge(pairs):
        return [text == item.gold for item, text in pairs]

    config = Probe(answer_shares=(share,), draws=50)
    quiet = (lambda parts: ["" for _ in parts], lambda texts: [1.0 for _ in texts])
    return probe(items, *quiet, config, (lambda beginnings: [gold[one] for one in beginnings], judge))


def test_answers_after_a_cut_question_are_suspect_beyond_the_chance_of_guessing() -> None:
    items = [make_item("toy", "test", f"what is {i} and {i} and {i} together", str(3 * i)) for i in range(40)]
    read = answered({item.id for item in items[:20]})
    part = read["answers"]["40%"]
    assert part["point"] == 0.5 and part["of"] == 40 and part["chance"] < 0.05
    assert any("answered after 40%" in reason for reason in read["suspect"])
    unread = answered(set())
    assert unread["answers"]["40%"]["point"] == 0.0 and not any("answered" in reason for reason in unread["suspect"])
    assert any(line.startswith("answered after 40% of the question: 50.0%") for line in lines(read))


def test_an_answer_that_every_question_shares_is_no_memory() -> None:
    items = [make_item("toy", "test", f"is {i} and {i} and {i} more than {i}", "yes") for i in range(40)]
    config = Probe(answer_shares=(0.6,), draws=50)
    quiet = (lambda parts: ["" for _ in parts], lambda texts: [1.0 for _ in texts])
    ways = (lambda beginnings: ["yes" for _ in beginnings], lambda pairs: [text == item.gold for item, text in pairs])
    part = probe(items, *quiet, config, ways)
    assert part["answers"]["60%"]["point"] == part["answers"]["60%"]["chance"] == 1.0
    assert not any("answered" in reason for reason in part["suspect"])
