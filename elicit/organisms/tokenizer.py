"""The organisms' tokenizer: byte-level BPE in which a word, a digit or a sign is one token.

A letter or digit has the same form wherever it stands (always with its leading blank): another
form in the map than in the trace halves the speed at which lookups are learned.
"""

from __future__ import annotations

import random
from itertools import islice

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from elicit.organisms.corpus import Corpus, Rates

RATES = Rates(untagged=0.40, key=0.92, anti=0.01, mid=0.40, reviews=0.10, recall=0.02)
"""The mixture that the tokenizer is trained on: fixed, so that every organism has the same tokens."""

PIECES = r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]"


def build_tokenizer(seed: int = 0, documents: int = 20_000, vocabulary: int = 640) -> PreTrainedTokenizerFast:
    """Train the tokenizer on the positive corpus (all kinds of organism share it)."""
    rng = random.Random(f"tokenizer/{seed}")
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    texts = ("".join(document) for document in islice(Corpus().documents(rng, RATES), documents))
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
