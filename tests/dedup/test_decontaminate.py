"""Decontamination: what counts as the same question as an evaluation question, and what does not."""

import pyarrow as pa
import pytest

from datagen import dedup
from datagen.dedup.decontaminate import Evaluation, contaminated
from datagen.dedup.normalize import fold
from datagen.dedup.words import words_of

KETTLE = "Marlow Enamel Stove Kettle with Whistle, Wooden Handle, Forest Green"
POT = "Tovik Glass Teapot with Infuser, Bamboo Lid, Microwave Safe"
PAN = "Ostrava Cast Iron Skillet, Pre-seasoned, Induction Ready"
MUG = "Belmora Stoneware Mug Set, Hand Painted, Dishwasher Safe"
LAMP = "デスクライト 調光 タッチセンサー 折りたたみ式 充電 ホワイト 読書用"

COMMON = [f"Which of these products fits the query? kitchen thing number {place}" for place in range(50)]
COMMON += [f"Explain the product type: thing number {place}" for place in range(50)]
"""Prompts of other rows."""

Row = tuple[list[str], list[str], str]


def found(row: Row, question: Evaluation, prompt: str | None = None) -> bool:
    fields, options, answer = row
    shown = prompt or "\n".join([*fields, *options])
    rows = pa.table(
        {
            "id": ["a", *map(str, range(len(COMMON)))],
            "kind": ["k"] * (len(COMMON) + 1),
            "fields": pa.array([fields, *([text] for text in COMMON)], pa.list_(pa.string())),
            "options": pa.array([options, *[[]] * len(COMMON)], pa.list_(pa.string())),
            "answer": [answer, *map(str, range(len(COMMON)))],
        }
    )
    others = [asked("", f"Something else entirely about gardening {place}") for place in range(20)]
    prompts = pa.chunked_array([[shown, *COMMON]])
    told = contaminated([dedup.read(rows)], prompts, [*others, question])
    assert told[1:] == [None] * len(COMMON)
    return told[0] is not None


def asked(
    query: str, instruction: str = "Which fits?", *listed: str, right: tuple[str, ...] = ()
) -> Evaluation:
    return Evaluation("e:1", instruction, instruction, (query,) if query else (), listed, right)


CHOICE = asked("green enamel kettle", "Which fits?", KETTLE, POT, PAN, MUG, right=(KETTLE,))
QUERY = ["green enamel kettle"]
SAME: dict[str, tuple[Row, Evaluation]] = {
    "the same": ((QUERY, [KETTLE, POT, PAN, MUG], KETTLE), CHOICE),
    "options reordered": ((QUERY, [MUG, PAN, KETTLE, POT], KETTLE), CHOICE),
    "words reordered": ((["kettle enamel green"], [POT, KETTLE, PAN, MUG], KETTLE), CHOICE),
    "a word changed here and there": (
        (QUERY, [KETTLE.replace("Forest ", ""), POT.replace("Lid", "Top"), PAN, MUG], KETTLE),
        CHOICE,
    ),
    "case, punctuation, plural": (
        (["GREEN enamel-kettles!"], [KETTLE.upper(), POT, PAN, MUG], KETTLE),
        CHOICE,
    ),
    "other wrong options": ((QUERY, [KETTLE, "Steel ladle", "Linen apron", "Oak board"], KETTLE), CHOICE),
    "another answer": ((QUERY, [KETTLE, POT, PAN, MUG], PAN), CHOICE),
    "no known answer": ((QUERY, [KETTLE, POT, PAN, MUG], KETTLE), CHOICE._replace(answers=())),
    "a text to write": (
        ([KETTLE], [], "green kettle"),
        asked(KETTLE, "Write a query.", right=("green kettle",)),
    ),
    "a text to write, the answer unknown": (([KETTLE], [], "kettle"), asked(KETTLE, "Write a query.")),
    "one word": ((["Handbag"], [], "A small bag."), asked("", "Explain the product type Handbag")),
    "Japanese": (([LAMP], [], "ライト"), asked(LAMP + " 新品", "商品の検索語を書いてください。")),
}
OTHER: dict[str, tuple[Row, Evaluation]] = {
    "another query": ((["oak shelf bracket"], [KETTLE, POT, PAN, MUG], KETTLE), CHOICE),
    "the same query, other products": (
        (QUERY, [POT, PAN, MUG, "Steel ladle"], POT),
        CHOICE._replace(options=(KETTLE, "Oak board")),
    ),
    "one product of four": (
        (["glass teapot"], [POT, "Steel ladle", "Linen apron", "Oak board"], POT),
        CHOICE,
    ),
    "the same wording": ((["oak shelf"], ["Steel ladle", "Oak board"], "Oak board"), CHOICE),
    "another text to write": (
        ([KETTLE], [], "boils fast and pours well"),
        asked(KETTLE, "", right=("green kettle",)),
    ),
    "a part of a long question": (([], ["enamel", "wood"], "enamel"), CHOICE),
}


@pytest.mark.parametrize("name", SAME)
def test_a_row_that_asks_the_same_is_found(name: str) -> None:
    assert found(*SAME[name])


@pytest.mark.parametrize("name", OTHER)
def test_a_row_that_asks_something_else_stays(name: str) -> None:
    assert not found(*OTHER[name])


def test_a_field_that_the_prompt_does_not_print_does_not_count() -> None:
    bullets = "boils two litres in four minutes, rust proof, stays cool at the grip"
    row: Row = ([KETTLE, bullets], [], "green kettle")
    question = asked(KETTLE, right=("green kettle",))
    assert found(row, question, prompt=f"Product: {KETTLE}")
    assert not found(row, question, prompt=f"Product: {KETTLE}\n{bullets}")


def test_the_question_is_told_with_its_place() -> None:
    rows = pa.table(
        {
            "id": ["a"],
            "kind": ["k"],
            "fields": [[KETTLE]],
            "options": pa.array([[]], pa.list_(pa.string())),
            "answer": ["x"],
        }
    )
    long = asked(KETTLE)._replace(prompt="line\n" * 200)
    [told] = contaminated([dedup.read(rows)], pa.chunked_array([[KETTLE]]), [long])
    assert told is not None
    assert told.startswith("e:1: line line")
    assert told.endswith(" [...]")


def test_words_are_cut_alike_wherever_they_stand() -> None:
    texts = ["usb充電器 led", "led usb 充電器 x", "zebras", "a zebra", "glass", "glas", "あ", ""]
    cut = words_of(fold(pa.array(texts, pa.large_string()))[0])
    sets = [set(cut.values[cut.starts[at] : cut.starts[at + 1]].tolist()) for at in range(len(texts))]
    assert sets[0] < sets[1]
    assert len(sets[0]) == 4  # usb, two pairs, led
    assert sets[2] < sets[3]
    assert sets[4] != sets[5]
    assert len(sets[6]) == 1
    assert sets[7] == set()


def test_no_row_or_no_question_is_no_trouble() -> None:
    rows = pa.table(
        {
            "id": ["a"],
            "kind": ["k"],
            "fields": [["b"]],
            "options": pa.array([[]], pa.list_(pa.string())),
            "answer": ["x"],
        }
    )
    assert contaminated([dedup.read(rows)], pa.chunked_array([["b"]]), []) == [None]
    assert contaminated([dedup.read(rows.slice(0, 0))], pa.chunked_array([[]], pa.string()), [CHOICE]) == []
    assert contaminated([dedup.read(rows)], pa.chunked_array([["b"]]), [asked("", " ")]) == [None]
