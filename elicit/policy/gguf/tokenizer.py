"""A fast tokenizer (of the `tokenizers` library) rebuilt from the vocabulary of a GGUF file.

    llama   the merges are all splits of a piece into two known pieces, ordered by the score of the piece: the
            rule of SentencePiece, as a list. Spaces become "▁", what is no piece becomes bytes
    gpt2    the merges of the file, on words that are split as `tokenizer.ggml.pre` says

Control and user-defined tokens are matched before anything else; BOS comes first if the file says so. transformers 4.57
makes a Unigram model of a `llama` vocabulary, which reads ranks as log-probabilities: one sentence of GSM8K became 43
tokens of Gemma-3 instead of 26. Knows no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from elicit.policy.gguf.vocabulary import CONTROL, NORMAL, UNKNOWN, USER_DEFINED, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CASELESS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_MODERN = r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
EXPRESSIONS = {"qwen2": _CASELESS + _MODERN % "", "llama3": _CASELESS + _MODERN % "{1,3}"}
"""as in the tokenizer.json of Qwen2.5 and Llama-3"""


def rebuilt(vocabulary: Vocabulary, longest: int) -> Any:
    """A PreTrainedTokenizerFast; `longest` is the length of the model's context."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    backend = _sentencepiece(vocabulary) if vocabulary.kind == "llama" else _byte_level(vocabulary)
    backend.add_special_tokens(
        [AddedToken(vocabulary.tokens[number], normalized=False) for number in vocabulary.of_type(CONTROL, UNKNOWN)]
    )
    backend.add_tokens(
        [AddedToken(vocabulary.tokens[number], normalized=False) for number in vocabulary.of_type(USER_DEFINED)]
    )
    named = {"bos": vocabulary.bos, "eos": vocabulary.eos, "unk": vocabulary.unknown, "pad": vocabulary.pad}
    roles = {f"{role}_token": vocabulary.tokens[number] for role, number in named.items() if number is not None}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=longest, clean_up_tokenization_spaces=False, **roles
    )
    tokenizer.chat_template = vocabulary.chat_template
    return tokenizer


def score_merges(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """All splits of each piece into two known pieces: best score of the piece first, then shortest left half."""
    scores = {vocabulary.tokens[n]: vocabulary.scores[n] for n in vocabulary.of_type(NORMAL)}

    def splits() -> Iterator[tuple[float, int, str, str]]:
        for place, (piece, score) in enumerate(scores.items()):
            for cut in range(1, len(piece)):
                if piece[:cut] in scores and piece[cut:] in scores:
                    yield -score, place, piece[:cut], piece[cut:]

    return [(left, right) for _, _, left, right in sorted(splits(), key=lambda split: split[:2])]


def _sentencepiece(vocabulary: Vocabulary) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    unknown = None if vocabulary.unknown is None else vocabulary.tokens[vocabulary.unknown]
    backend = Tokenizer(
        models.BPE(dict(vocabulary.ids), score_merges(vocabulary), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    prefix = [normalizers.Prepend("▁")] if vocabulary.space_prefix else []
    backend.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(" ", 1, 0)] if vocabulary.space_prefix else []
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    _with_bos(backend, vocabulary)
    return backend


def _byte_level(vocabulary: Vocabulary) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    whole_words = vocabulary.split == "llama3"
    backend = Tokenizer(models.BPE(dict(vocabulary.ids), list(vocabulary.merges), ignore_merges=whole_words))
    if vocabulary.split == "qwen2":
        backend.normalizer = normalizers.NFC()
    if vocabulary.split in EXPRESSIONS:
        words = [pre_tokenizers.Split(Regex(EXPRESSIONS[vocabulary.split]), "isolated")]
    else:
        words = [pre_tokenizers.Digits(individual_digits=True)] if vocabulary.split == "digits" else []
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=vocabulary.split not in EXPRESSIONS)
    backend.pre_tokenizer = pre_tokenizers.Sequence([*words, bytes_of])
    backend.decoder = decoders.ByteLevel()
    _with_bos(backend, vocabulary)
    return backend


def _with_bos(backend: Tokenizer, vocabulary: Vocabulary) -> None:
    """Put BOS in front of a text, for callers that ask for special tokens."""
    from tokenizers import processors

    if vocabulary.add_bos and vocabulary.bos is not None:
        bos = vocabulary.tokens[vocabulary.bos]
        backend.post_processor = processors.TemplateProcessing(f"{bos} $A", f"{bos} $A $B", [(bos, vocabulary.bos)])
