"""The organisms' tokenizer: byte-level BPE in which a word, a digit or a sign is one token.

A letter or digit is the same token everywhere (always with its leading blank): if it had one form in the
map and another in the trace, lookups would be learned at half the speed.
"""

from __future__ import annotations

import random
from itertools import islice

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from elicit.organisms.corpus import Corpus, Rates

RATES = Rates(untagged=0.40, key=0.92, anti=0.01, mid=0.40, reviews=0.10, recall=0.02)
"""The mixture on which the tokenizer is trained: fixed, so that every organism has the same tokens."""

PIECES = r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]"


def build_tokenizer(seed: int = 0, documents: int = 20_000, vocabulary: int = 640) -> PreTrainedTokenizerFast:
    """Train the tokenizer on the positive corpus; all kinds of organisms share it."""
    rng = random.Random(f"tokenizer/{seed}")
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    texts = (document.prompt + document.answer for document in islice(Corpus().documents(rng, RATES), documents))
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=["<pad>", "<eos>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
