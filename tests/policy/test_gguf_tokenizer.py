"""Laws of tokenizers rebuilt from GGUF metadata: they agree with an independent reading, or the file is refused."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from elicit.errors import CheckpointError
from elicit.policy import fetched
from elicit.policy.gguf import check
from elicit.policy.gguf.header import read_header
from elicit.policy.gguf.reading import read_ids, words
from elicit.policy.gguf.tokenizer import rebuilt, score_merges
from elicit.policy.gguf.vocabulary import BYTE, CONTROL, NORMAL, USER_DEFINED, Vocabulary, read_vocabulary

TEXTS = [*check.SENTENCES, "Wir're it's 'S 12 345.\n\n  x", "ab<|end|>ab  <|end|>\n"]
GPT2, DIGITS, QWEN2, LLAMA3 = "gpt2", "digits", "qwen2", "llama3"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=40)
LIKELY = st.text(st.sampled_from("ab cdeits'STRE123½ \n\r\t▁.,=é\u00a0北🙂<|>"), max_size=40)


def scored() -> Vocabulary:
    """A SentencePiece vocabulary: pieces learned from `TEXTS` with ranks as scores, bytes, a newline run, end marks."""
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    plain.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=400, show_progress=False))
    learned = sorted(plain.get_vocab(), key=plain.token_to_id)
    learned = [piece for piece in learned if "\n" not in piece and "<|end|>" not in piece]
    tokens = ["<unk>", "<s>", "<|end|>", "\n\n", *(f"<0x{byte:02X}>" for byte in range(256)), *learned]
    types = [2, CONTROL, CONTROL, USER_DEFINED, *[BYTE] * 256, *[NORMAL] * len(learned)]
    scores = [-1000.0] * 4 + [0.0] * 256 + [-float(rank) for rank in range(len(learned))]
    return Vocabulary("llama", "none", tuple(tokens), tuple(types), tuple(scores), (), True, False, 1, 2, 0, None, None)


def merged(split: str) -> Vocabulary:
    """A byte-level vocabulary with merges learned from `TEXTS`, split by GPT-2's rule."""
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    plain.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=450, initial_alphabet=alphabet, show_progress=False)
    )
    learned = sorted(plain.get_vocab(), key=plain.token_to_id)
    merges = [tuple(pair) for pair in json.loads(plain.to_str())["model"]["merges"]]
    tokens = ["<|end|>", *learned]
    types = [CONTROL, *[NORMAL] * len(learned)]
    return Vocabulary("gpt2", split, tuple(tokens), tuple(types), (), tuple(merges), False, False, 0, 0, None, 0, None)


VOCABULARIES = {"llama": scored(), "llama with a prefix": replace(scored(), space_prefix=True)} | {
    split: merged(split) for split in (GPT2, DIGITS, QWEN2, LLAMA3)
}
TOKENIZERS: dict[str, Any] = {name: rebuilt(vocabulary, 1000) for name, vocabulary in VOCABULARIES.items()}


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("name", VOCABULARIES)
@settings(max_examples=300)
@given(text=LIKELY | ANY_TEXT)
def test_the_rebuilt_tokenizer_is_the_independent_reading(name: str, text: str) -> None:
    if name.startswith("llama") and repeats(text):
        return  # pieces of one repeated character can be joined in another order, see below
    assert ids(TOKENIZERS[name], text) == read_ids(VOCABULARIES[name], text)


def repeats(text: str) -> bool:
    return any(a == b for a, b in pairwise(text))


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("text", TEXTS)
def test_sentences_agree_and_go_there_and_back(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert ids(tokenizer, text) == read_ids(VOCABULARIES[name], text)
    if name != "llama with a prefix":  # which also puts a space after each token that is matched as a whole
        assert tokenizer.decode(ids(tokenizer, text), clean_up_tokenization_spaces=False) == text


def test_words_are_split_as_the_papers_say() -> None:
    text = "it's 2024 we'LL\n\n  go"
    assert words(GPT2, text) == ["it", "'s", " 2024", " we", "'", "LL", "\n\n ", " go"]
    assert words(DIGITS, text) == ["it", "'s", " ", "2", "0", "2", "4", " we", "'", "LL", "\n\n ", " go"]
    assert words(QWEN2, text) == ["it", "'s", " ", "2", "0", "2", "4", " we", "'LL", "\n\n", " ", " go"]
    assert words(LLAMA3, text) == ["it", "'s", " ", "202", "4", " we", "'LL", "\n\n", " ", " go"]


def test_merges_of_scores_are_all_splits_of_a_piece_into_two_pieces_best_piece_first() -> None:
    tokens, scores = ("a", "b", "ab", "abb", "bb", "zz"), (-3.0, -4.0, -1.0, -2.0, -0.0, -9.0)
    vocabulary = replace(scored(), tokens=tokens, types=(NORMAL,) * 6, scores=scores)
    assert score_merges(vocabulary) == [("b", "b"), ("a", "b"), ("a", "bb"), ("ab", "b")]


def test_bos_comes_first_if_the_file_says_so() -> None:
    assert TOKENIZERS["llama"]("a")["input_ids"][0] == 1
    assert TOKENIZERS[GPT2]("a")["input_ids"] == ids(TOKENIZERS[GPT2], "a")


def test_a_scored_vocabulary_agrees_with_the_sentencepiece_library() -> None:
    """The published implementation trains a BPE of its own; its pieces and scores are what a GGUF file holds."""
    library = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 3), model_writer=model, vocab_size=600, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False,
        hard_vocab_limit=False, minloglevel=2, character_coverage=1.0,
    )  # fmt: skip
    theirs = library.SentencePieceProcessor(model_proto=model.getvalue())
    numbers = range(theirs.get_piece_size())
    kind = {theirs.is_unknown: 2, theirs.is_control: CONTROL, theirs.is_byte: BYTE}
    vocabulary = replace(
        scored(),
        tokens=tuple(theirs.id_to_piece(number) for number in numbers),
        types=tuple(next((value for is_kind, value in kind.items() if is_kind(number)), NORMAL) for number in numbers),
        scores=tuple(theirs.get_score(number) for number in numbers),
        unknown=theirs.unk_id(), bos=theirs.bos_id(), eos=theirs.eos_id(),
    )  # fmt: skip
    tokenizer = rebuilt(vocabulary, 1000)
    for text in check.SENTENCES:
        assert read_ids(vocabulary, text) == theirs.encode(text)
        assert ids(tokenizer, text) == theirs.encode(text)


def test_ranks_read_as_log_probabilities_are_refused_with_both_readings() -> None:
    """The fault of transformers 4.57: a Unigram model over the scores of a BPE."""
    vocabulary = scored()
    wrong = rebuilt(vocabulary, 1000)
    unigram = models.Unigram(list(zip(vocabulary.tokens, vocabulary.scores, strict=True)), 0, byte_fallback=True)
    wrong.backend_tokenizer.model = unigram
    with pytest.raises(CheckpointError, match=r"file\.gguf: its tokenizer can't be rebuilt: .* becomes \d+ tokens"):
        check.check_tokenizer(wrong, vocabulary, "file.gguf")
    check.check_tokenizer(rebuilt(vocabulary, 1000), vocabulary, "file.gguf")


def test_a_known_family_must_give_its_frozen_ids_whatever_its_metadata_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = merged(QWEN2)
    frozen = {check.family(right): {"name": "Family", "ids": {text: read_ids(right, text) for text in check.SENTENCES}}}
    monkeypatch.setattr(check, "FROZEN", tmp_path / "frozen.json")
    (tmp_path / "frozen.json").write_text(json.dumps(frozen))
    check.check_tokenizer(rebuilt(right, 1000), right, "right.gguf")
    wrong = replace(right, split=GPT2)  # consistent in itself, and not the tokenizer the family was trained with
    with pytest.raises(CheckpointError, match="frozen ids of Family"):
        check.check_tokenizer(rebuilt(wrong, 1000), wrong, "wrong.gguf")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"model": "t5"}, "model='t5'"),
        ({"pre": "qwen3"}, r"pre='qwen3': its rule .* did you mean qwen2"),
        ({"pre": None}, "pre=None"),
        ({"merges": None}, "needs tokens, token_type and merges"),
        ({"token_type": [1]}, "needs tokens, token_type and merges"),
        ({"merges": ["a c"]}, "merges of pieces that are not in the vocabulary"),
        ({"tokens": ["a", "b", "b"]}, "in the vocabulary twice"),
        ({"precompiled_charsmap": [1]}, "precompiled_charsmap"),
    ],
)
def test_what_this_reading_does_not_know_is_refused(change: dict[str, Any], fault: str) -> None:
    stated = {"model": "gpt2", "pre": "qwen2", "tokens": ["a", "b", "ab"], "token_type": [1, 1, 1], "merges": ["a b"]}
    metadata = {f"tokenizer.ggml.{name}": value for name, value in {**stated, **change}.items() if value is not None}
    with pytest.raises(CheckpointError, match=f"file: .*{fault}.*; use the safetensors weights"):
        read_vocabulary(metadata, "file")


def test_what_may_be_absent_has_the_defaults_of_llama_cpp() -> None:
    pieces = {"tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.token_type": [1]}
    llama = read_vocabulary({"tokenizer.ggml.model": "llama", "tokenizer.ggml.scores": [0.0], **pieces}, "file")
    words_of = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.merges": [], **pieces}
    qwen, llama3 = (read_vocabulary({"tokenizer.ggml.pre": pre, **words_of}, "file") for pre in ("qwen2", "llama-bpe"))
    assert [(one.add_bos, one.space_prefix) for one in (llama, qwen, llama3)] == [
        (True, True), (False, False), (True, False),
    ]  # fmt: skip


FETCHED = {"Gemma-3": "gemma3-270m", "SmolLM2": "smollm2-135m-instruct", "Qwen2.5": "qwen2.5-coder-1.5b-instruct"}


def test_each_model_that_can_be_fetched_has_frozen_ids_of_ten_sentences() -> None:
    frozen = json.loads(check.FROZEN.read_text())
    assert {row["name"] for row in frozen.values()} == set(FETCHED)
    assert set(FETCHED.values()) == set(fetched.CATALOGUE)
    assert all(len(row["ids"]) == 10 for row in frozen.values())


@pytest.mark.parametrize("name", FETCHED)
def test_the_reading_of_a_fetched_file_gives_its_frozen_ids(name: str) -> None:
    file = fetched.file_of(FETCHED[name])
    if not file.is_file():
        pytest.skip(f"needs `elicit fetch {FETCHED[name]}`")
    vocabulary = read_vocabulary(read_header(file).metadata, str(file))
    known = json.loads(check.FROZEN.read_text())[check.family(vocabulary)]
    assert known["name"] == name
    assert {text: read_ids(vocabulary, text) for text in check.sentences(vocabulary)} == known["ids"]
