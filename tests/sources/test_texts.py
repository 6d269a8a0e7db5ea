"""Tests of what is made of ECInstruct's, MMLU's and Alpaca's rows, also of broken ones."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from datagen.errors import UserError
from datagen.recipe.load import load
from datagen.sources import SOURCES
from datagen.sources.database import open_seeds
from datagen.sources.sample import write_sample

TRAIN = {"setting": "IND_Diverse_Instruction", "split": "train", "instruction": "Do it."}


def asked(folder: Path, source: str, query: str, **options: Any) -> list[Any]:
    """What a query gives over one source in a folder; of one column, its values."""
    with open_seeds({source: SOURCES[source].Options(**options)}, folder, 1) as seeds:
        found = seeds.connection.execute(query).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def instruct(folder: Path, *rows: dict[str, Any]) -> None:
    path = folder / "ecinstruct" / "dataset.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{"options": None, **TRAIN, **row} for row in rows]), encoding="utf-8")


def questions(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / "mmlu" / "data" / name.rpartition("_")[2] / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def alpaca(folder: Path, *rows: tuple[str, str, str]) -> None:
    path = folder / "alpaca" / "alpaca_data_cleaned.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    named = [dict(zip(("instruction", "input", "output"), row, strict=True)) for row in rows]
    path.write_text(json.dumps(named), encoding="utf-8")


def test_an_input_is_taken_once_and_only_from_train(tmp_path: Path) -> None:
    row = {"task": "Product_Matching", "input": "{}", "output": "yes"}
    instruct(
        tmp_path,
        row,
        {**row, "setting": "IND_Single_Instruction"},
        {**row, "input": '{"tested": 1}'},
        {**row, "input": '{"tested": 1}', "split": "test"},
        {**row, "input": '{"doubtful": 1}'},
        {**row, "input": '{"doubtful": 1}', "output": "no"},
        {**row, "input": '{"new": 1}', "setting": "OOD_Diverse_Instruction"},
    )
    assert asked(tmp_path, "ecinstruct", "select input from ecinstruct.trained") == ["{}"]


def test_options_are_read_as_json_and_as_python_prints_them(tmp_path: Path) -> None:
    printed = str(
        [f"{letter}: {text}" for letter, text in zip("ABC", ("Bob's, pen", '6" pot', "x"), strict=True)]
    )
    history = str(["1st: Jo's 5\" pan. Kitchen.", "2nd: A 'set' of \"two\", red."])
    task = "Sequential_Recommendation"
    instruct(
        tmp_path,
        {"task": task, "input": history, "options": printed, "output": "B"},
        {"task": task, "input": history + " ", "options": printed, "output": "T"},
        {"task": "Other", "input": "b", "options": '["A: yes", "B: no, \\"never\\""]', "output": "B: no"},
    )
    query = "select options, place from ecinstruct.trained where output like 'B%' order by task desc"
    assert asked(tmp_path, "ecinstruct", query) == [
        (["Bob's, pen", '6" pot', "x"], 1),
        (["yes", 'no, "never"'], 1),
    ]
    instruct(
        tmp_path,
        {
            "task": task,
            "input": history,
            "options": str([f"{x}: item {x}" for x in "ABCDEFGH"]),
            "output": "C",
        },
    )
    assert asked(tmp_path, "ecinstruct", "select bought, options[place + 1] from ecinstruct.histories") == [
        (["Jo's 5\" pan. Kitchen.", "A 'set' of \"two\", red."], "item C")
    ]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "{}", '{"query": 1}', "x" * 1_000_000, "\x00", "['1st"]
)
def test_rows_that_are_no_json_give_no_question(tmp_path: Path, text: str) -> None:
    tasks = [
        "Attribute_Value_Extraction", "Product_Matching", "Product_Relation_Prediction",
        "Sequential_Recommendation", "Multiclass_Product_Classification", "Product_Substitute_Identification",
        "Query_Product_Rank", "Answerability_Prediction", "Answer_Generation",
    ]  # fmt: skip
    outputs = ["yes", "A", "B,A,C", "[{", "[{}]", "None"]
    instruct(
        tmp_path,
        *({"task": task, "input": text + " " * n, "options": text, "output": output}
          for task in tasks for n, output in enumerate(outputs)),
    )  # fmt: skip
    for name in ("ecinstruct_products", "ecinstruct_shoppers"):
        recipe = load(name)
        with open_seeds(recipe.sources, tmp_path, 1, tables=recipe.tables) as seeds:
            for label, task in recipe.tasks.items():
                assert seeds.of(label).execute(task.query).fetchall() == [], label
            assert seeds.connection.execute("select * from ecinstruct.evaluation").fetchall() == []


def test_values_are_cited_and_what_a_page_hides_cannot_be_inferred(tmp_path: Path) -> None:
    def page(title: str, attribute: str, value: str, **more: str) -> dict[str, str]:
        shown = {"product title": title, **more, "target attributes": attribute}
        told = [{"attribute": attribute, "value": value, "source": "product title"}]
        return {"task": "Attribute_Value_Extraction", "input": json.dumps(shown), "output": json.dumps(told)}

    instruct(
        tmp_path,
        page("Alder Leather Boots for winter", "material", "leather"),
        page("Alder Leatherette Bag, light", "material", "leather"),
        page("Alder Rain Boots for autumn", "material", "None"),
    )
    found = asked(tmp_path, "ecinstruct", "select values, stated from ecinstruct.pages order by title")
    assert found == [(["leather"], ["Leather"]), (["leather"], []), ([], [])]


def test_prices_that_are_not_numbers_are_not_told(tmp_path: Path) -> None:
    pages: dict[str, dict[str, Any]] = {
        "product 1": {
            "title": "word games 3",
            "description": float("nan"),
            "manufacturer": "nan",
            "price": "0.0",
        },
        "product 2": {
            "title": "word games iii",
            "description": "fun",
            "manufacturer": "acme",
            "price": "19.99",
        },
    }
    games = {name: {**page, "title": f"{page['title']} {name}"} for name, page in pages.items()}
    instruct(
        tmp_path,
        {"task": "Product_Matching", "input": json.dumps(pages), "output": "yes"},
        {"task": "Product_Matching", "input": json.dumps(games), "output": "no"},
    )
    query = load("ecinstruct_products").tasks["same_product"].query
    assert asked(tmp_path, "ecinstruct", f"select first, second from ({query}) where answer = 0") == [
        ("word games 3", "word games iii | acme | $19.99")
    ]


def test_pairs_of_products_are_not_told_by_words_alone(tmp_path: Path) -> None:
    def pages(one: str, two: str) -> str:
        told = {"description": "", "manufacturer": "acme", "price": "5"}
        return json.dumps({"product 1": {"title": one, **told}, "product 2": {"title": two, **told}})

    def titles(one: str, two: str) -> str:
        return json.dumps({"Product 1:": one, "Product 2:": two})

    matching, relation = {"task": "Product_Matching"}, {"task": "Product_Relation_Prediction"}
    options = "['A: also buy', 'B: also view', 'C: similar']"
    instruct(
        tmp_path,
        *[{**matching, "input": pages(f"paint {n}", f"a paint {n}"), "output": "yes"} for n in range(10, 20)],
        *[
            {**matching, "input": pages(f"garden {n}", f"ledger of {n + 40}"), "output": "no"}
            for n in range(10, 20)
        ],
        {**matching, "input": pages("chess deluxe", "chess basic"), "output": "no"},
        {**matching, "input": pages("checkers", "checkers"), "output": "no"},
        {**relation, "input": titles("Acme oak desk", "Kiwi garden hose"), "options": options, "output": "A"},
        {**relation, "input": titles("Acme oak shelf", "Kiwi shelf lamp"), "options": options, "output": "A"},
        {**relation, "input": titles("Acme oak bench", "Kiwi elm bench"), "options": options, "output": "B"},
    )
    tasks = load("ecinstruct_products").tasks
    same = asked(tmp_path, "ecinstruct", f"select first, answer from ({tasks['same_product'].query})")
    assert sorted(answer for _, answer in same) == [0, 0, 1, 1]
    assert [first for first, _ in same if "chess" in first]
    query = tasks["product_relation"].query
    found = asked(tmp_path, "ecinstruct", f"select first, answer from ({query}) order by answer")
    assert found == [("Acme oak shelf", 0), ("Acme oak bench", 1)]


def test_test_splits_are_texts_to_keep_away_from(tmp_path: Path) -> None:
    held = {
        "task": "Query_Product_Rank",
        "input": '{"query": "cup", "product list": ["A: Mug"]}',
        "output": "A",
    }
    instruct(
        tmp_path,
        held,
        {**held, "input": "A fine cup.", "split": "test"},
        {**held, "input": held["input"] + " ", "split": "test"},
    )
    found = asked(tmp_path, "ecinstruct", "select text from ecinstruct.evaluation order by text")
    assert found == ["A fine cup.", 'cup ["A: Mug"]']
    questions(tmp_path, law_dev="Used here?,a,b,c,d,A\n", law_test="Held out?,a,b,c,d,A\n")
    assert asked(tmp_path, "mmlu", "select text from mmlu.evaluation") == ["Held out?"]
    assert asked(tmp_path, "mmlu", "select text from mmlu.evaluation", split=["dev"]) == ["Held out?"]


def test_options_that_name_each_other_are_left_out(tmp_path: Path) -> None:
    rows = [
        "Which fruit is red here?,Cherry,Lemon,Lime,None of the above,A",
        "Which fruit is sour here?,Lemon,Lime,Kiwi,All of the above,D",
        "Which fruit is sweet here?,Fig,Lime,Both A and B,Neither,A",
        "Which fruit grows here?,Fig,Lime,Kiwi,A and C only,A",
        "Which fruit is new here?,Fig,fig,Kiwi,Lime,A",
        "Which fruit is shown below?,Fig,Date,Kiwi,Lime,A",
        "Which fruit is that then?,Fig,Date,Kiwi,Lime,E",
        "Which fruit is old then?,Fig,Date,Kiwi,Lime,A",
        "Which fruit is old then?,Date,Fig,Lime,Kiwi,A",
    ]
    questions(tmp_path, miscellaneous_dev="\n".join(rows) + "\n")
    assert asked(tmp_path, "mmlu", "select text, reference, area from mmlu.asked order by text") == [
        ("Which fruit is red here?", "Cherry", "everyday"),
        ("Which fruit is sour here?", "All of these", "everyday"),
    ]


def test_the_hubs_files_of_mmlu_are_read_and_auxiliary_ones(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "mmlu" / "all"
    folder.mkdir(parents=True)
    for split, subject in (
        ("dev", "marketing"),
        ("validation", "marketing"),
        ("test", "marketing"),
        ("auxiliary_train", ""),
    ):
        duckdb.sql(
            f"copy (select 'What is a {split} price?' as question, '{subject}' as subject,"
            " ['low', 'None', 'high', '0'] as choices, 1::bigint as answer)"
            f" to '{folder}/{split}-00000-of-00001.parquet' (format parquet)"
        )
    query = "select split, subject, options, answer from mmlu.questions order by split"
    options = ["low", "None", "high", "0"]
    assert asked(tmp_path / "hub", "mmlu", query) == [
        ("auxiliary_train", "", options, 1),
        ("dev", "marketing", options, 1),
        ("val", "marketing", options, 1),
    ]
    questions(tmp_path, race_train="")
    path = tmp_path / "mmlu" / "data" / "auxiliary_train" / "race.csv"
    path.parent.mkdir(parents=True)
    (tmp_path / "mmlu" / "data" / "train" / "race_train.csv").unlink()
    path.write_text("A long text. What is it?,a text,b,c,d,A\n", encoding="utf-8")
    assert asked(tmp_path, "mmlu", "select area, reference from mmlu.asked") == [("reading", "a text")]


def test_a_line_of_mmlu_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    questions(tmp_path, law_dev="Is this a whole line?,a,b,c,d,A\nIs this cut off?,a,b\n")
    reason = r"line 2: Expected Number of Columns: 6 Found: 3\. Mend it"
    with pytest.raises(UserError, match=rf"law_dev\.csv: cannot be read: {reason}"):
        asked(tmp_path, "mmlu", "select count(*) from mmlu.asked where text <> ''")
    questions(tmp_path, law_dev="Is this cut off?,a,b\n")
    with pytest.raises(UserError, match=r"law_dev\.csv: lacks the column answer"):
        asked(tmp_path, "mmlu", "select count(*) from mmlu.asked")


UNFIT = [
    ("empty", ("Name a river.", "", "")),
    ("empty", ("Name a river.", "", "<nooutput>")),
    ("code", ("Write a loop.", "", "```for```")),
    ("link", ("Name a site.", "", "See https://a.example")),
    ("wrong_sum", ("How many are left?", "", "12 - 5 = 8")),
    ("calculation", ("Calculate the mean.", "3, 5", "4")),
    ("as_an_ai", ("How are you?", "", "As an AI language model, I feel nothing.")),
    ("another_language", ("Translate it.", "The house", "La casa")),
    ("missing", ("Summarize the following article.", "", "It is about rain.")),
    ("missing", ("Describe this picture.", "noinput", "A house.")),
    ("missing", ("Change the underlined word.", "Pears are ripe for pick.", "picking")),
    ("puzzle", ("Arrange these words to make a sentence.", "tea, likes, she", "Tea likes she.")),
    ("puzzle", ("Count the words.", "She likes tea.", "Four")),
    ("unanswered", ("Which rivers are mentioned?", "It rained.", "The passage does not mention any rivers.")),
    ("unanswered", ("Name the moral.", "A fox spoke.", "More information is needed to tell.")),
    ("today", ("What is the weather like?", "", "Sunny.")),
    ("long", ("Tell a story.", "", "Once. " * 300)),
    (None, ("What is 3 plus 4, said in words?", "", "Seven")),
    (None, ("Explain bar codes.", "", "A bar code is a row of lines from which a till knows the price.")),
    (None, ("How many eggs are left of a dozen after five?", "", "There are 12 - 5 = 7 eggs left.")),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "row"), UNFIT)
def test_an_instruction_that_is_not_fit_is_left_out_by_its_reason(
    tmp_path: Path, reason: str | None, row: tuple[str, str, str]
) -> None:
    alpaca(tmp_path, row)
    assert asked(tmp_path, "alpaca", "select reason from alpaca.checked") == [reason]
    assert len(asked(tmp_path, "alpaca", "select * from alpaca.fit")) == (reason is None)


@pytest.mark.parametrize(
    ("row", "kind", "reference"),
    [
        (
            ("List two trees.", "", "Sure, two trees are:\n1. Oak\n2. Elm"),
            "list",
            "two trees are:\n1. Oak\n2. Elm",
        ),
        (("List two trees.", "", "Here are two trees:\n\n1. Oak\n2. Elm"), "list", "1. Oak\n2. Elm"),
        (("Make a riddle", "", "Question: Who?\\nAnswer: Me"), None, "Question: Who?\nAnswer: Me"),
        (("Rewrite it in the past.", "She runs.", "She ran."), "rewriting", "She ran."),
        (("Read the story and name its kind.", "A fox spoke.", "A fable."), "anything", "A fable."),
    ],
)
def test_what_an_instruction_asks_for_and_its_bare_answer(
    tmp_path: Path, row: tuple[str, str, str], kind: str | None, reference: str
) -> None:
    alpaca(tmp_path, row)
    assert asked(tmp_path, "alpaca", "select kind, reference from alpaca.fit") == [(kind, reference)]


def test_an_instruction_that_comes_again_is_taken_once_or_not_at_all(tmp_path: Path) -> None:
    same, other = ("Name a tree.", "", "Oak"), ("Name a fish.", "", "Carp")
    alpaca(tmp_path, same, same, other, ("name a fish.", "", "Pike"))
    assert asked(tmp_path, "alpaca", "select reason from alpaca.checked order by reason") == ["twice"] * 3 + [
        None
    ]


def test_the_sample_has_rows_for_every_task(tmp_path: Path) -> None:
    write_sample(tmp_path, 1_000)
    for name in ("ecinstruct_products", "ecinstruct_shoppers", "mmlu", "alpaca"):
        recipe = load(name)
        with open_seeds(recipe.sources, tmp_path, recipe.seed, tables=recipe.tables) as seeds:
            for label, task in recipe.tasks.items():
                found = seeds.of(label).execute(f"select key from ({task.query})").fetchall()
                assert len(set(found)) == len(found) >= 22, f"{name}.{label}"
