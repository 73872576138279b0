"""The sentences and blocks of found passages that answer a question. Pure, extractive: nothing is ever reworded."""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from bot.knowledge.forms import Form, form_of
from bot.knowledge.synonyms import alternatives
from bot.knowledge.units import Shape, Unit, units_of
from bot.knowledge.words import hinting_words, informative_words, is_near, is_number, stem
from bot.model import Found, value

_RUN_IN = re.compile(r"\*\*[^*]+[.:?!]\*\*")

MOST_UNITS = 4
SHORT_PARAGRAPH_CHARS = 400  # a paragraph this short is quoted whole, because its sentences lean on each other
SHORT_PASSAGE_CHARS = 450  # a passage this short is quoted whole
TITLE_SHARE = 0.7  # what a word of the heading path is worth to each unit under it
WHOLE_TITLE_SHARE = 1.0  # and where the path holds every word of the question
SAME_QUESTION = 0.75  # headings that hold this share of the question ask the same: the passage is quoted from its start
COMPANION_SHARE = 0.65  # of the best unit's worth: what a further unit needs
KNOWN_COVERAGE = (
    0.52  # this and what follows: measured with tests/llm/test_questions.py, evals/docs and tests/evals/shop
)
KNOWN_BLOCK = 0.52
FAMILIAR_BLOCK = 0.45  # enough where the passages know every word of a question of several
MANY_WORDS = 3  # so many words of a question in one block are evidence although others are missing
MANY_COVERAGE = 0.34
MANY_BLOCK = 0.4
UNLIKE = 0.2  # a question to which nothing is more alike in meaning than this is answered only by a passage that holds most of its words
MOST_WORDS = 0.8
BLOCK_SHARE = 0.5  # what a word of the same paragraph is worth to each of its sentences
SHORTEST_SLIP = 4  # letters of a word in which one may be mistyped
HINT = 0.3  # what a word that is no evidence adds to a unit's worth
DIGITS = 0.5  # what a number counts beside a word: numbers stand everywhere
SECOND_SCORE = 0.6  # of the best passage's score: what another passage needs to be quoted too
SECOND_SHARE = 0.75  # of the best unit's worth: what the best unit of another passage needs to be quoted too
INTRODUCTION_CHARS = 250  # a paragraph this short before a table is quoted with the table's rows
RUN_IN = 1.5  # how much more a sentence is worth that stands in bold at the head of its paragraph, as a heading does


@value
class Quote:
    """Text of one passage, verbatim but for links and table marks. `found` is the passage's place in the results; `lead` is
    the sentence that leads to a block, if there is one."""

    found: int
    text: str
    lead: str = ""


@value
class Evidence:
    """How well the passages fit a question: the share of its words held by the best passage, and by the best block (with the headings
    above it); how many words that block holds; and how alike the nearest passage is in meaning, if that was compared."""

    coverage: float
    block: float
    words: int
    is_familiar: bool  # every one of several words of the question stands somewhere in the passages
    likeness: float | None = None

    @property
    def is_enough(self) -> bool:
        if self.likeness is not None and self.likeness < UNLIKE and self.coverage < MOST_WORDS:
            return False
        if self.words >= MANY_WORDS:
            return self.coverage >= MANY_COVERAGE and self.block >= MANY_BLOCK
        least = FAMILIAR_BLOCK if self.is_familiar else KNOWN_BLOCK
        return self.coverage >= KNOWN_COVERAGE and self.block >= least


@value
class _Term:
    """A word of the question: the stems that stand for it."""

    stems: frozenset[str]
    is_word: bool = True  # not a number

    @property
    def emphasis(self) -> float:
        return 1.0 if self.is_word else DIGITS


def quote(question: str, found: Sequence[Found]) -> list[Quote]:
    """What answers the question: of the best passage, and of another that is nearly as good. Empty when the passages do not hold an answer."""
    units = units_of(found)
    weights = _weights(_terms(question, units), units)
    if not _evidence(weights, units, found).is_enough:
        return []
    form = form_of(question)
    hints = dict.fromkeys((_Term(frozenset({stem(word)})) for word in hinting_words(question)), HINT)
    fitting = set() if form is None else set(_fitting(form, units))
    worth = {
        unit: _worth(unit, weights, hints, found) * (form.bonus if form and unit in fitting else 1.0) for unit in units
    }
    best = max(units, key=lambda unit: worth[unit])
    quotes = _of_passage(best, units, weights, worth)
    others = [unit for unit in units if unit.found != best.found]
    second = max(others, key=lambda unit: worth[unit], default=None)
    if second is not None and _is_as_good(second, best, worth, found):
        quotes += _of_passage(second, units, weights, worth)
    return quotes


def _fitting(form: Form, units: Sequence[Unit]) -> Iterator[Unit]:
    """The units that look like an answer of this form, or stand in a paragraph whose first words do."""
    labels = {(unit.found, unit.block): unit for unit in reversed(units)}
    for unit in units:
        if form.seen.search(unit.text) or form.seen.search(labels[unit.found, unit.block].text):
            yield unit


def _is_as_good(second: Unit, best: Unit, worth: dict[Unit, float], found: Sequence[Found]) -> bool:
    is_near = found[second.found].score >= SECOND_SCORE * found[best.found].score
    return is_near and worth[second] >= SECOND_SHARE * worth[best]


def _of_passage(
    best: Unit, units: Sequence[Unit], weights: dict[_Term, float], worth: dict[Unit, float]
) -> list[Quote]:
    """What is quoted of the passage that holds `best`."""
    own = [unit for unit in units if unit.found == best.found]
    is_about_it = _held(weights, best.title_stems) >= SAME_QUESTION and not _says_more(best, weights)
    if is_about_it or (len(own) <= MOST_UNITS and _is_short(own, SHORT_PASSAGE_CHARS)):
        return _joined(own[:MOST_UNITS])
    return _joined(_companions(best, own, weights, worth))


def _says_more(unit: Unit, weights: dict[_Term, float]) -> bool:
    """Whether the unit holds a word of the question that its headings do not."""
    return any(term.stems & unit.stems and not term.stems & unit.title_stems for term in weights)


def _terms(question: str, units: Sequence[Unit]) -> list[_Term]:
    """The informative words of the question, each with the words that say the same or, where the passages know none of these, with those
    that may have been meant."""
    known = frozenset().union(*(unit.stems | unit.title_stems for unit in units))
    terms: dict[frozenset[str], _Term] = {}
    for word in informative_words(question):
        own = stem(word)
        stems = frozenset({own, *map(stem, alternatives(word))})
        if not stems & known and len(own) >= SHORTEST_SLIP:
            stems |= {one for one in known if is_near(own, one)}
        terms.setdefault(stems, _Term(stems, is_word=not is_number(word)))
    return list(terms.values())


def _evidence(weights: dict[_Term, float], units: Sequence[Unit], found: Sequence[Found]) -> Evidence:
    if not units or not weights:
        return Evidence(0.0, 0.0, 0, False)
    even = {term: term.emphasis for term in weights}  # by number too: one rare word of two is no answer
    best, words = max(
        (
            min(_held(weights, stems), _held(even, stems)),
            sum(term.is_word and bool(term.stems & stems) for term in weights),
        )
        for stems in {unit.block_stems | unit.title_stems for unit in units}
    )
    known = frozenset().union(*(unit.stems | unit.title_stems for unit in units))
    is_familiar = sum(term.is_word for term in weights) >= MANY_WORDS and all(term.stems & known for term in weights)
    likeness = max((one.likeness for one in found if one.likeness is not None), default=None)
    return Evidence(max(one.coverage for one in found), best, words, is_familiar, likeness)


def _held(weights: dict[_Term, float], stems: frozenset[str]) -> float:
    """The share of the question that is among these words."""
    return sum(weight for term, weight in weights.items() if term.stems & stems) / sum(weights.values())


def _is_short(own: Sequence[Unit], most: int) -> bool:
    """Whether units, none of them a row, are short enough to be quoted as they stand."""
    is_flowing = not any(unit.shape is Shape.ROW for unit in own)
    return is_flowing and sum(len(unit.lead) + len(unit.text) for unit in own) <= most


def _companions(best: Unit, own: Sequence[Unit], weights: dict[_Term, float], worth: dict[Unit, float]) -> list[Unit]:
    """The best unit, with its whole paragraph when that is short, and with those of its passage that are nearly as good, for a word of
    their own or because they follow."""
    paragraph = [unit for unit in own if unit.block == best.block]
    chosen = paragraph if _is_short(paragraph, SHORT_PARAGRAPH_CHARS) else [best]
    if best.shape is Shape.ROW:
        chosen = [*_introduction(best, own), best]
    for unit in sorted(own, key=lambda unit: (abs(unit.order - best.order), unit.order)):
        is_next = unit.shape is not Shape.ROW and any(unit.order == other.order + 1 for other in chosen)
        if (
            unit not in chosen
            and worth[unit] >= COMPANION_SHARE * worth[best]
            and (_says_more(unit, weights) or is_next)
            and len(chosen) < MOST_UNITS
        ):
            chosen.append(unit)
    return sorted(chosen, key=lambda unit: unit.order)


def _introduction(row: Unit, own: Sequence[Unit]) -> list[Unit]:
    """The short paragraph that a table of rows begins with."""
    first_row = next(unit.order for unit in own if unit.shape is Shape.ROW and unit.table == row.table)
    before = [unit for unit in own if unit.order < first_row and unit.shape is Shape.SENTENCE]
    paragraph = [unit for unit in before if unit.block == before[-1].block and before[-1].order == first_row - 1]
    return paragraph if sum(len(unit.text) for unit in paragraph) <= INTRODUCTION_CHARS else []


def _joined(units: Sequence[Unit]) -> list[Quote]:
    """Sentences that follow each other become one quote, as do rows; blocks stand alone."""
    quotes = [Quote(units[0].found, units[0].text, units[0].lead)]
    for before, unit in pairwise(units):
        is_sentence = unit.shape is before.shape is Shape.SENTENCE and unit.order == before.order + 1
        if is_sentence or unit.shape is before.shape is Shape.ROW:
            quotes[-1] = Quote(unit.found, f"{quotes[-1].text}{' ' if is_sentence else chr(10)}{unit.text}")
        else:
            quotes.append(Quote(unit.found, unit.text, unit.lead))
    return quotes


def _worth(unit: Unit, asked: dict[_Term, float], hints: dict[_Term, float], found: Sequence[Found]) -> float:
    weights = {**asked, **hints}
    own = sum(weight for term, weight in weights.items() if term.stems & unit.stems)
    around = sum(
        weight for term, weight in weights.items() if term.stems & unit.block_stems and not term.stems & unit.stems
    )
    title = sum(
        weight
        for term, weight in weights.items()
        if term.stems & unit.title_stems and not term.stems & unit.block_stems
    )
    top = max(one.score for one in found) or 1.0
    is_asked = all(term.stems & unit.title_stems for term in asked)
    said = own + BLOCK_SHARE * around + (WHOLE_TITLE_SHARE if is_asked else TITLE_SHARE) * title
    run_in = RUN_IN if _RUN_IN.match(unit.text) else 1.0
    return run_in * said * (0.3 + 0.7 * found[unit.found].score / top) / (1 + 0.01 * unit.order)


def _weights(terms: Sequence[_Term], units: Sequence[Unit]) -> dict[_Term, float]:
    """Inverse frequency among the units: what stands everywhere tells them apart least."""
    return {
        term: term.emphasis * math.log(1 + len(units) / (1 + sum(bool(term.stems & unit.stems) for unit in units)))
        for term in terms
    }
