r"""Declarations: where an answer is declared, and which words of the sentence are it.

In the tables "5| apples" is the answer "5 apples" whose core, the value alone, is "5".
"""

from __future__ import annotations

import pytest

from elicit.tasks.grading import declaration, loose, reading
from elicit.tasks.grading.declaration import Declared

SENTENCES = {
    "number": {
        "x = (5)": "(5)", "$5 per pen, since US$ are dear": "$5", "$5 m$ long": "$5 m$| long",
        "5 apples \\text{each}": "5| apples \\text{each}", "x = (5), because": "(5)",
        "US$5": "US$5", "$ 5": "$ 5", "Rs. 5": "Rs. 5", r"\$5": r"\$5", "negative 5": "negative 5",
        "minus 5": "minus 5",
        "5 degrees below zero": "5 degrees below zero", "5°C below freezing": "5°C below freezing",
        "5 dollars and 20 cents": "5 dollars and 20 cents", "5 apples": "5| apples", "5 apples each": "5| apples",
        '5 "apples"': "5", "5 a day": "5", "5 m": "5| m", "5m": "5|m", "5, which is right": "5",
        "5 which is right": "5",
        "5 with care": "5", "5 (five)": "5", "5 (5 apples)": "5", "5:30": "5:30", "5^2": "5^2", "5²": "5²",
        "5: it is": "5",
        "5 - that is all": "5", "5 -- all": "5", "5 because 6": "5", "5 for 6 days": "5",
        r"5\text{ cm}": r"5\text{ cm}",
        r"5\%": r"5\%", "5%": "5|%", "5 per cent": "5", "5 million dollars": "5| million dollars", "x = 5": "5",
        "x=5 apples": "5| apples", "3 + 4 = 7": "7", "3 + 4 = 7 apples": "7| apples", "total cost = 5": "5",
        "exactly 5": "5",
        "just 5": "5", "therefore, 5": "5", "equal to 5": "5", "that she has 5": "5", "$5$": "$5$",
        "$5$ apples": "$5$| apples",
        "$x = 5$": "$x = 5$", r"\(5\)": r"\(5\)", r"\[5\]": r"\[5\]", "$$5$$": "$$5$$", r"\[5": r"\[5",
        r"$5 \text{ cm}$": r"$5 \text{ cm}$",
        "1 1/2": "1 1/2", "1,000,000 people": "1,000,000| people", "−5": "−5", "**5**": "5", ">5": "5", "<b>5</b>": "5",
        "5<br>": "5",
        "5 times": "5| times", "5, making 6": "5", "5, in total": "5", "5, total": "5", "5 cm (because)": "5| cm",
        "5 cm, because": "5| cm", "5 cm: because": "5| cm", "5 cm; because": "5| cm", "5 he said": "5",
        "5 I think": "5",
        r"5 \text{ apples}": r"5 \text{ apples}", "x = 5, because": "5", "= 5": "5", "5, i.e. 6": "5",
        "3 + 4 = 7, because": "7", "2 * 3 = 6 (as shown)": "6", "x =  5 ": "5", "total cost = $5": "$5", "5)": "5",
    },
    "math": {
        "X": "X", "2 + 3 = (5)": "(5)",
        "x^2": "x^2", "x^2 because": "x^2", "x^2, which is": "x^2", "x^2, in all": "x^2", "x^2, or y": "x^2, or y",
        "x^2, y": "x^2, y",
        "x^2: it": "x^2", "x^2 - that": "x^2", "x^2 - y": "x^2 - y", "x^2 (so)": "x^2", "x^2 (mod 7)": "x^2 (mod 7)",
        "x^2 (y)": "x^2 (y)",
        "x^2; so": "x^2", "x^2; y": "x^2; y", "red, blue": "red, blue", "red, because": "red",
        "red, green and blue": "red, green and blue",
        "x^2 where x": "x^2", "x^2 so": "x^2", "x^2<br>": "x^2", "x^2</answer>": "x^2", "x < y": "x < y",
        "$x$ and $y$": "$x$ and $y$",
        "$x$, $y$": "$x$, $y$", "$x$; $y$": "$x$; $y$", "$x$, or $y$": "$x$, or $y$", "$x$ or y": "$x$ or y",
        "$x$ is wrong": "$x$ is wrong",
        "$x$ isn't": "$x$ isn't", "$x$ y": "$x$", "$x$, y": "$x$", "$x$ < 3": "$x$ < 3", "$x$ - 1": "$x$ - 1",
        "$x$ - one": "$x$",
        "x = 5": "x = 5", "x = 5 because": "x = 5", "3 + 4 = 7": "7", "3 + 4 = x": "3 + 4 = x",
        "3 + 4 = 7 apples": "7| apples",
        r"\begin{pmatrix} 1, because \end{pmatrix}": r"\begin{pmatrix} 1, because \end{pmatrix}",
        r"\{x, in A\}": r"\{x, in A\}",
        r"\frac{1}{2}, because": r"\frac{1}{2}", "5 = x": "5 = x", "(1, 2), because": "(1, 2)", "[1, 2)": "[1, 2)",
        "5, 6": "5, 6",
        "$5$ cm": "$5$| cm", "5 cm": "5| cm", "5 m": "5 m", "x, so y": "x", "x, we have": "x", "x, the sum": "x",
        "x, abc": "x, abc",
        "f(x) = 2x, so": "f(x) = 2x", "red fox in a box": "red fox in a box", "x^2+1_": "x^2+1", "x,": "x",
        "x  because": "x",
        "3 + 4 = 7, because": "7", "2 - 5 = -3": "-3", r"\frac{x, because y}{2}": r"\frac{x, because y}{2}",
        "$1.5. x$. Yes": "$1.5. x$", "$$1. 5$$ ok": "$$1. 5$$", "\\(x + 1. \\) ok": "\\(x + 1. \\)", "$x\n+1$": "$x",
        r"\[x. y\]": r"\[x. y\]",
        r"\begin{pmatrix}1. 2\end{pmatrix}. Done": r"\begin{pmatrix}1. 2\end{pmatrix}", "$$x$": "$$x$",
    },
    "text": {
        "X": "X", "red fox, because it": "red fox", "red fox (which runs)": "red fox", "red fox (a)": "red fox (a)",
        "red; since it": "red",
        "red, as shown": "red", "red, as is": "red, as is", '"red"': "red", "“red”": "red", "**red**": "red",
        "_red_": "red", "`red`": "red",
        "Mr. Smith. He said so": "Mr. Smith", "1. red 2. blue. Done": "1. red 2. blue", "No. 5. Done": "No. 5",
        "red in approx. 5 days. Done": "red in approx. 5 days",
        "red\nfox": "red", ":\nred fox\n\nblue": "red fox",
        ":\n1. red fox\n2. blue jay\n\nThat is all": "1. red fox\n2. blue jay",
        ":\n- red": "red", ": - red": "- red", "red fox! Yes": "red fox", 'red?" Yes': "red",
        ":\nA long line of words, not an item of a list.\nMore": "A long line of words, not an item of a list",
    },
}  # fmt: skip
REFUSED = {
    "number": [
        "negative five", "5 below average", "5 xy", "5 or 6", "5 and 6", "5, or 6", "5, but 6", "5, wait", "5, 6",
        "5; 6", "5, which is wrong",
        "5, which was impossible", "5, with remainder 1", "5 with remainder 1", "5 is wrong", "5 + 1", "5 - 1",
        "5(mod 7)", "5 (mod 7)",
        "5 (x+1)", "5,5", "5{x}", "5|6", r"5\sqrt{2}", "5 tens", "3 + 4 = 7 or 8", "x = y", "2 + 3", "about 5", "not 5",
        "never 5", "neither 5",
        "no longer 5", "that she has 5 of 6", "that is all", "$5 and $6", "$5 apples and $6 oranges", "$5$ is wrong",
        "$5$ + 1", "$5$-1", "5th",
        "5K", "5 6", "5 < 6", "5 x", "5 times 6", "5 more than 6", "twice 5", "5i", "[5]", "", "  ", "** **",
        "x^2 = 5 or 6", "five",
    ],
    "math": ["not x", "never x^2", "", "**", "isn't x"],
    "text": ["", "* *", ". ."],
}  # fmt: skip
OPTIONS = {
    "B": "B", "b": "b", "(b)": "(b)", "B because": "B", "A because": "A", "I because": "I", "B is right": "B",
    "(B), not (C)": "(B)",
    "(B) rather than (C)": "(B)", "(A), (B) and (C) are wrong, so (D)": "(D)", "option B": "B", "choice (B)": "(B)",
    "letter B": "B", "$B$": "B",
    r"$\text{B}$": "B", r"\text{B}": "B", r"\textbf{(B)}": "(B)", "B.": "B", "B:": "B", "B;": "B", "B!": "B", "B)": "B",
    "B}": "B", "B red": "B",
    "the clock (B)": "(B)", "either (B) or (B)": "(B)", '"B"': "B", "*B*": "B", "B <br>": "B", "b<br>": "b",
    "B\nC": "B", "A (red)": "A",
    "A - it": "A", "A – it": "A", "A, because": "A", "I - it": "I", "(B) red": "(B)", "A is right": "A",
    "b, because": "b",
    "b because": None, "A dog": None, "a dog": None, "I am": None, "B is wrong": None, "B isn't": None,
    "B was ruled out": None, "B and C": None,
    "B or C": None, "B, C": None, "B/C": None, "B & C": None, "(B) (C)": None, "(B)(C)": None, "not (B)": None,
    "not B": None, "B nor C": None,
    "neither (B) nor (C)": None, "all but (B)": None, "(B) is excluded": None, "ruling out (B) and (C), (D)": None,
    "B's": None,
    "B-52": None, "Bob": None, "against (B)": None, "except (B)": None, "instead of (B)": None, "(B) eliminated": None,
    "(B) was not": None, "": None,
    "the (B) and (C)": None, "not (A) but (C)": "(C)", "not (A) and (B) but (C)": "(C)", "the b in (C)": "(C)",
    "the (c) is (C)": "(C)",
    r"B\text{ or }C": None, "(B) are out": None, "none": None,
}  # fmt: skip
WORDS = {
    "yes": "yes", "Yes.": "Yes", "- yes": "yes", "yes and it": "yes", "yes because": "yes", "**Yes**": "Yes",
    "therefore yes": "yes",
    "( True ) = False": "False", "x = True": "True", "invalid": "invalid", "= yes": "yes", "yes, he": "yes",
    "no, yes": None,
    "yes or no": None, "yes and no": None, "yes and not no": None, "yes, no": None, "yes/no": None, "yes, or no": None,
    "yesterday": None,
    "not yes": None, "True = ": None, "in valid": None, "yes and (no)": None, "yes / true": None, "maybe yes": None,
    "yes or": None, "": None,
}  # fmt: skip


def marked(found: Declared | None, text: str) -> str | None:
    """The answer, with "|" between its core and its unit."""
    if found is None:
        return None
    core = text[found.start : found.end]
    assert found.answer.startswith(core.strip())
    rest = found.answer.removeprefix(core)
    return f"{core}|{rest}" if rest else found.answer


@pytest.mark.parametrize(("kind", "content"), [(kind, content) for kind in SENTENCES for content in SENTENCES[kind]])
def test_the_answer_is_the_value_its_unit_and_no_word_more(kind: str, content: str) -> None:
    for before in ("The answer is ", "It is 3. So the final answer is "):
        text = f"{before}{content}."
        assert marked(declaration.last(kind, text, True), text) == SENTENCES[kind][content]


@pytest.mark.parametrize(("kind", "content"), [(kind, content) for kind in REFUSED for content in REFUSED[kind]])
def test_what_is_negated_open_or_taken_back_declares_nothing(kind: str, content: str) -> None:
    assert declaration.last(kind, f"The answer is {content}.", True) is None


@pytest.mark.parametrize(("content", "wanted"), OPTIONS.items())
def test_an_option_is_one_letter_that_is_neither_excluded_nor_one_of_several(content: str, wanted: str | None) -> None:
    found = reading.option(content)
    assert (content[found.start : found.end] if found else None) == wanted
    assert found is None or found.unit_end == found.end


@pytest.mark.parametrize(("content", "wanted"), WORDS.items())
def test_a_word_is_one_of_yes_and_no_and_not_both(content: str, wanted: str | None) -> None:
    found = reading.word(content)
    assert (content[found.start : found.end] if found else None) == wanted
    assert found is None or found.unit_end == found.end


LAST = [
    ("math", "The answer is 5. The answer is never simple.", "5"), ("number", "The answer is X.", None),
    ("number", "The answer can't be 5.", None), ("number", "The answer should not be 5.", None),
    ("number", "The answer isn't: 5", None),
    ("number", "The answer must be 5", "5"), ("number", "The answer is:\n- 5", "5"),
    ("number", "The answer is: - 5", "- 5"),
    ("number", "The answer is", None), ("number", "####\n5", None), ("number", "#### 5\nSo it is.", "5"),
    ("number", "The answer is\n\n5.", "5"), ("number", "The answer is: the answer is 5.", "5"),
    ("number", r"The answer is: \boxed{5}", "5"),
    ("number", r"The answer is 6, or \fbox{5}", "5"), ("number", r"The answer is 6, or \boxed{5}", "5"),
    ("number", "The answer is correct.", None),
    ("number", "The answer is 5. The answer is correct.", "5"),
    ("number", "The answer is 5. The answer is at least 3.", "5"),
    ("text", "The answer is red. The answer is at least 3.", "at least 3"),
    ("math", "The answer is 4. The answer is an even number.", "4"),
    ("number", "The answer is 5. The answer is clear.", "5"),
    ("number", "The answer is 5. The answer is simply pi.", "5"),
    ("number", "The answer is 5. The answer is not simple.", None),
    ("number", "The answer is 5. The answer is x = y.", None),
    ("number", "#### five", None), ("number", "#### seventy two", None), ("math", "#### x", "x"),
    ("math", "#### abc def", None),
    ("math", "The answer is 5\n#### red fox", "5"), ("math", "The answer is 5\n#### red", "red"),
    ("number", "#### 5. 6", None),
    ("text", "#### red. blue\nfox", "red. blue"), ("number", "The answer is 5 ft. That is all.", "5| ft"),
    ("number", "The answer is No. 5.", None),
    ("number", "<answer>5</answer>", "5"), ("number", "<answer> 5 apples </answer>", "5| apples"),
    ("number", "<answer></answer>", None),
    ("number", "<answer>5", None), ("math", "<answer>$x^2$</answer> 6", "$x^2$"), ("option", "<answer>B</answer>", "B"),
    ("number", r"\boxed 7", "7"), ("number", r"\boxed 7.", "7"), ("number", r"\boxed 7, yes", "7"),
    ("number", r"\boxed{7", None), ("number", r"\boxed{}", None),
    ("number", r"\boxed{ }", None), ("number", r"\boxed{\text{The answer is }7}", "7"),
    ("number", r"\boxed{\text{The answer is 7}}", "7"),
    ("math", r"\boxed{\text{The answer is: }x^2}", "x^2"), ("math", r"\boxed{\text{answer is x}}", "x"),
    ("math", r"\boxed{\text{The answer is }\{1\}}", r"\{1\}"),
    ("math", r"\boxed{\{1,2\}}", r"\{1,2\}"), ("math", r"\boxed{\frac{1}{2}}}", r"\frac{1}{2}"),
    ("math", r"a} \boxed{b}", "b"), ("math", r"$\boxed 7$ ok", "7"),
    ("math", r"\boxed{\text{The answer is }}", None), ("math", r"\boxed{\text{red}}", r"\text{red}"),
    ("math", r"\boxed {x} {y}", "x"),
    ("option", r"\boxed{\text{B}}", "B"), ("option", r"\boxed{B or C}", None), ("word", r"\boxed{Yes}", "Yes"),
    ("text", r"\boxed{red fox}", "red fox"),
    ("number", "If the answer is 5, we win.", None), ("number", "The answer is 6. If the answer is 5, we win.", "6"),
    ("number", "Suppose that the answer is 5.", None), ("number", "Check whether the answer is 5.", None),
    ("number", "A: 5", "5"),
    ("number", "Final Answer\n5", "5"), ("number", "### Final Answer\n\n5", "5"), ("number", "**Answer**\n5", "5"),
    ("number", "## The Answer:\n$5$", "$5$"),
    ("number", "Our final answer to the question is 5.", "5"), ("number", "The correct option is 5", "5"),
    ("number", "My best answer, then, is 5.", "5"),
    ("number", "The answer for the third day must be 5", "5"), ("number", "The answer comes out to 5.", "5"),
    ("number", "The answer: 5", "5"),
    ("number", "The **answer** = **5**", "5"), ("number", "the final answer equals 5", "5"),
    ("number", "So 6. Answer: 5", "5"),
    ("number", " 5", "5"), ("number", " 5 apples", "5| apples"), ("number", " 7 + 3 = 10", "10"),
    ("number", "3 + 4 = 7\n7 + 3 = 10", "10"),
    ("number", "3 + 4 = 7; 7 + 3 = 10.", "10"), ("number", "3 + 4 = 7\n\n7 + 3 = 10 apples", "10| apples"),
    ("number", "3 + 4 = 7\n10", None),
    ("number", "3 + 4 = 7\nwords here", None), ("number", "words here\n3 + 4 = 7", None),
    ("number", "we have 3 + 4 = 7\n7 + 3 = 10", None),
    ("number", "a + b = c\n7 + 3 = 10", None), ("number", "5\n6", None), ("number", "x", None),
    ("number", "so 5", None), ("number", "5 (five)", None),
    ("number", "5 because", None), ("number", "5.", "5"), ("number", "**5**", "5"), ("number", "4 + 1", None),
    ("number", "5 or 6", None),
    ("number", "3 = 3 = 3\n4 = 5", "5"), ("math", " x^2", "x^2"), ("math", "x = 5", "x = 5"),
    ("math", "$x^2$", "$x^2$"), ("math", "x^2 because", None),
    ("math", "red", "red"), ("math", "red fox", "red fox"), ("math", "a red fox", None), ("math", "red old fox", None),
    ("math", "so red", None), ("math", "we get 5", None),
    ("math", "(1, 2)", "(1, 2)"), ("math", "x^{2}\n", "x^{2}"), ("option", "B", "B"), ("option", "(B)", "(B)"),
    ("option", "B.", "B"), ("option", "(B) red", "(B)"), ("option", "B) red", "B"),
    ("option", "B red", None), ("option", "(B) red (C)", None), ("option", "(B)\nx", None), ("option", "so (B)", None),
    ("option", "**B**", "B"),
    ("option", "B. red C. blue", None), ("option", "B. red A. blue", "B"), ("option", "$B$", "B"),
    ("option", "- (B)", "(B)"), ("word", "Yes", "Yes"),
    ("word", "yes.", "yes"), ("word", "Yes it is", None), ("word", "(Yes)", None), ("word", "So yes", None),
    ("word", '"Yes"', "Yes"), ("word", "no!", "no"),
    ("text", "red fox", "red fox"), ("text", "Red fox. And more.", None),
    ("text", "red fox. and more", "red fox. and more"), ("text", "red\nfox", "red\nfox"),
    ("text", "1. red\n2. fox", "1. red\n2. fox"), ("text", "red fox which runs over the lazy dog\nfox", None),
    ("text", "red fox, because it is", "red fox"),
    ("text", "one two three four five", "one two three four five"), ("text", "x" * 300, "x" * 300),
    ("text", "x" * 301, None), ("text", "  ", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "wanted"), LAST)
def test_the_last_declaration_of_a_finished_output_is_its_answer(kind: str, text: str, wanted: str | None) -> None:
    assert marked(declaration.last(kind, text, True), text) == wanted
    assert declaration.last(kind, text, False) is None
    asked = f"{text}\n\nQuestion: and 1 + 1?\nAnswer: 2"
    assert marked(declaration.last(kind, asked, False), asked) == wanted


FIRST = [
    ("number", "The answer is 5. Or is it? The answer is 6.", "5", "5"), ("number", "The answer is 5", "5", None),
    ("number", "The answer is 5.", "5", None),
    ("number", "The answer is 5. ", "5", "5"), ("number", "The answer is 5, ", "5", "5"),
    ("number", "The answer is 5 apples", "5| apples", None),
    ("number", "The answer is 5 apples.\n", "5| apples", "5| apples"), ("number", r"\boxed{5}", "5", "5"),
    ("number", r"\boxed{5} \boxed{6", "5", "5"),
    ("number", "The answer is not 5. The answer is 6. The answer is 7.", "6", "6"), ("number", "5\nand more", "5", "5"),
    ("number", "\n\n5\nand more", "5", "5"),
    ("number", "words\n5\nmore", None, None), ("number", "5", "5", None), ("number", "3 + 4 = 7\nmore", None, None),
    ("number", "3 + 4 = 7", "7", None),
    ("math", "x^2\nmore", "x^2", "x^2"), ("option", "(B)\nmore", "(B)", "(B)"),
    ("word", "yes\nmore of it", "yes", "yes"), ("text", "red\nmore (of it), since we have to", None, None),
    ("text", "The answer is red.\nThe answer is blue.", "red", "red"),
    ("number", "4 is 4.\n5\nThe answer is 6.", "6", None), ("option", "ab\nB\n(B)", None, None),
    ("number", " 5 apples\nmore", "5| apples", "5| apples"), ("number", "The answer is 5\n", "5", "5"),
    ("number", "The answer is 5.5", "5.5", None),
    ("number", "5\n\nThe answer is not 6.", "5", "5"), ("number", "<answer>5</answer>", "5", "5"),
    ("number", "#### 5\n", "5", "5"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "finished", "cut"), FIRST)
def test_the_first_complete_declaration_counts_also_of_a_cut_output(
    kind: str, text: str, finished: str | None, cut: str | None
) -> None:
    assert marked(declaration.first(kind, text, True), text) == finished
    found = declaration.first(kind, text, False)
    assert marked(found, text) == cut and (found is None or found.closed)


def test_of_very_many_declarations_the_first_and_the_last_are_read() -> None:
    text = " ".join(rf"\boxed{{{number}}}" for number in range(300))
    first, last = declaration.first("number", text, True), declaration.last("number", text, True)
    assert first is not None and first.answer == "0" and last is not None and last.answer == "299"


def test_a_sentence_is_read_for_a_bounded_number_of_characters() -> None:
    long = "x + " * 4000
    found = declaration.last("math", f"The answer is {long}x.", True)
    assert found is not None and 4000 < len(found.answer) <= 5000
    assert declaration.last("number", f"<answer>{' ' * 6000}5</answer>", True) is None
    assert declaration.last("number", f"<answer>{' ' * 4000}5</answer>", True) is not None


LENIENT = [
    ("number", "The answer is maybe 5.", "5"), ("number", "The answer is maybe 5 apples.", "5"),
    ("number", "The answer is maybe 5 or 6.", None),
    ("number", "The answer is maybe not 5.", None), ("number", "The answer is between 5 and 6.", None),
    ("number", "The answer is maybe 5 more than it.", None),
    ("number", "The answer is maybe $5.", "$5"), ("number", "The answer is maybe 5^2.", None),
    ("number", "The answer is maybe 5 tens.", None),
    ("math", "The answer is maybe 5/6.", "maybe 5/6"),
    ("option", "The answer is one of (B) and (C).", "one of (B) and (C)"), ("number", "It is 3. The answer is", "3"),
    ("number", "The answer is 5. Then 6", "5"), ("number", r"It is 3, \boxed{4", "4"),
    ("number", "The answer isn't 3, maybe.", None),
    ("number", "costs −3", "−3"), ("number", "from 10-3", "3"), ("number", "12 1/2 cups", "12 1/2"),
    ("number", r"half, \frac12", r"\frac12"),
    ("number", r"half, \dfrac{1}{2} million", r"\dfrac{1}{2} million"), ("math", "$$x$$ and $y$", "y"),
    ("math", "$$x$$ then", "x"), ("math", r"\(x\) then", "x"),
    ("math", "5, then $x$", "x"), ("option", "(B) or C.", "C"), ("option", "A) no, B: yes", "B"),
    ("word", "valid? No: invalid", "invalid"),
    ("text", "First. Then it: and so.", " and so."), ("text", "one\ntwo\n . \n", "two"), ("text", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "tail", "answer"), LENIENT)
def test_a_single_hedged_value_is_read_leniently_and_an_open_one_is_not(
    kind: str, tail: str, answer: str | None
) -> None:
    found = loose.read(kind, tail)
    assert (found.answer if found else None) == answer
    assert found is None or tail[found.start : found.end].strip() == found.answer.strip()
