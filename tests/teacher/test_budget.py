"""Tests of what the teacher costs: prices, estimates, and the table of a plan."""

from pathlib import Path

import pytest

from datagen.commands.tables import costs, over_limit, spending
from datagen.console.app import Commands
from datagen.console.typed import typed
from datagen.errors import OverBudget, UserError
from datagen.pipeline.rewriting import teacher_of
from datagen.prompts.token_estimate import estimated_tokens
from datagen.recipe.load import load, with_teacher
from datagen.teacher.answer import JUDGE_SCHEMA
from datagen.teacher.ask import Ask, Teacher
from datagen.teacher.budget import given_price, price_date, price_of, tokens_of
from datagen.teacher.client import asked
from datagen.teacher.estimate import estimates
from datagen.teacher.ledger import request_of
from tests.teacher.scripted_server import scripted


def asks(number: int, step: str = "extract.types") -> list[Ask]:
    return [Ask(str(i), step, ({"role": "user", "content": f"{step} {i}"},)) for i in range(number)]


@pytest.mark.parametrize(
    ("teacher", "price"),
    [
        (Teacher("gpt-4o"), (2.5, 10.0)),
        (Teacher("gpt-4o-2024-08-06"), (2.5, 10.0)),
        (Teacher("gpt-4o", price=(1.0, 2.0)), (1.0, 2.0)),
        (Teacher("gpt-4o", base_url="http://127.0.0.1:8000/v1"), (0.0, 0.0)),
        (Teacher("mine", base_url="http://localhost:8000/v1"), (0.0, 0.0)),
        (Teacher("mine", base_url="https://llm.example.com/v1"), None),
        (Teacher("gpt-unheard-of"), None),
    ],
)
def test_the_price_is_the_one_given_then_nothing_at_home_then_the_tables(
    teacher: Teacher, price: tuple[float, float] | None
) -> None:
    assert price_of(teacher) == price


def test_a_price_as_typed() -> None:
    assert given_price("2.5, 10") == (2.5, 10.0)
    for text in ("", "2", "a,b", "1,2,3", "-1,2", "nan,1", "inf,1"):
        with pytest.raises(UserError, match=r"as in --price 2\.5,10"):
            given_price(text)


def test_an_estimate_counts_what_the_ledger_holds_and_calls_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    everything = [*asks(30), *asks(20, "answer.explained")]
    with scripted() as server:
        teacher = Teacher("m", base_url=server.address, price=(1.0, 10.0), max_tokens=100)
        before = estimates(teacher, everything, path)
        assert not path.exists()
        replies = list(asked(teacher, everything[:10], path, recipe="r"))
        types, explained = estimates(teacher, [*everything, *everything[:5]], path)
        assert sum(server.stats()["asked"].values()) == 10
    assert [one[:3] for one in before] == [("extract.types", 30, 0), ("answer.explained", 20, 0)]
    assert before[1].tokens_out == 20 * 25  # a quarter of the longest, while nothing is known
    assert types[:3] == ("extract.types", 35, 15)
    assert types.tokens_in == sum(map(tokens_of, everything[10:30]))
    assert types.tokens_out == round(20 * sum(reply.tokens_out for reply in replies) / 10)
    assert types.usd == pytest.approx((types.tokens_in * 1.0 + types.tokens_out * 10.0) / 1e6)
    assert types.most_usd == pytest.approx((types.tokens_in * 1.0 + 20 * 100 * 10.0) / 1e6)
    assert types.batch_usd == pytest.approx((types.usd or 0) / 2)
    assert explained.held == 0


def test_what_a_reply_takes_is_the_ledgers_else_by_its_schema_else_a_guess(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    judged = [ask._replace(schema=JUDGE_SCHEMA) for ask in asks(4, "judge.explained")]
    [judge] = estimates(Teacher("m", price=(1.0, 10.0)), judged, path)
    assert (judge.by, judge.tokens_out) == ("schema", 4 * estimated_tokens('{"score": 5}'))
    assert judge.tokens_out < 4 * 20
    says = {ask.messages[0]["content"]: '{"score": 4}' for ask in judged}
    with scripted(says=says) as server:
        teacher = Teacher("m", base_url=server.address, price=(1.0, 10.0))
        [reply] = asked(teacher, judged[:1], path, recipe="r")
        found = estimates(teacher, [*judged, *asks(1, "answer.explained")], path)
    assert [(one.by, one.reply) for one in found] == [("ledger", reply.tokens_out), ("guess", 256)]
    shown = costs(teacher, found)
    assert f"{reply.tokens_out} by ledger" in shown
    assert "256 by guess" in shown
    assert "a quarter of the longest stands for it" in shown


def test_a_sample_is_scaled(tmp_path: Path) -> None:
    [whole] = estimates(Teacher("gpt-4o"), asks(10), tmp_path / "t.sqlite", scale=50)
    assert (whole.asks, whole.tokens_out) == (500, 500 * 256)


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        (
            Teacher("gpt-4o"),
            f"gpt-4o at https://api.openai.com/v1: prices of {price_date()}. Nothing was asked",
        ),
        (Teacher("mine", "https://llm.example.com/v1"), "the price of mine is unknown: give it by --price"),
        (Teacher("mine", "http://localhost:1/v1"), "a server of your own: its tokens cost nothing"),
    ],
)
def test_the_table_of_costs_says_whose_prices_they_are(teacher: Teacher, says: str, tmp_path: Path) -> None:
    shown = costs(teacher, estimates(teacher, [*asks(10), *asks(5, "reword")], tmp_path / "t.sqlite"))
    assert says in shown
    assert [line.split()[:2] for line in shown.splitlines()[1:4]] == [
        ["extract.types", "10"],
        ["reword", "5"],
        ["all", "15"],
    ]


def test_a_passed_limit_ends_a_command_with_its_own_exit_code() -> None:
    group = Commands("x")

    @group.command()
    def dear() -> None:
        raise OverBudget("too dear")

    with pytest.raises(SystemExit) as ended:
        group.main(["dear"])
    assert ended.value.code == 3


def test_price_and_batch_reach_the_teacher_of_a_build_and_leave_its_rows_alone() -> None:
    recipe = load("reworded")
    priced = with_teacher(recipe, "mine", None, 5.0, (1.0, 2.0), batch=True)
    teacher = teacher_of(priced)
    assert (teacher.model, teacher.max_cost_usd, teacher.price, teacher.batch) == (
        "mine",
        5.0,
        (1.0, 2.0),
        True,
    )
    same = with_teacher(recipe, "mine", None, None)
    assert priced.model_dump(mode="json") == same.model_dump(mode="json")
    assert request_of(teacher, asks(1)[0]) == request_of(teacher_of(same), asks(1)[0])


def test_a_plan_says_where_the_limit_is_below_the_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = Teacher("gpt-4o", max_cost_usd=1.0)
    found = estimates(teacher, asks(10), tmp_path / "t.sqlite", scale=1_000)
    usd = found[0].usd or 0.0
    assert usd > 2
    [line] = over_limit(teacher, found, 0.0)
    assert line.startswith(f"the limit is $1, and a whole build takes about ${usd:.2f}")
    assert "--max-cost " in line
    monkeypatch.setenv("MAKELEVEL", "1")
    assert "MAX_COST=" in over_limit(teacher, found, 0.0)[0]
    assert over_limit(teacher._replace(max_cost_usd=usd + 1), found, 0.5) == []
    assert over_limit(teacher._replace(max_cost_usd=usd + 1), found, 1.5) != []  # what is spent counts
    assert over_limit(teacher._replace(max_cost_usd=None), found, 0.0) == []


def test_an_empty_ledger_says_so() -> None:
    assert spending([]) == "no reply yet: a build with a teacher asks for some, and they are kept here"


def test_messages_name_options_as_they_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (typed("--base-url"), typed("--price", "2.5,10")) == ("--base-url", "--price 2.5,10")
    monkeypatch.setenv("MAKELEVEL", "1")
    assert (typed("--base-url"), typed("--price", "2.5,10")) == ("BASE_URL=", "PRICE=2.5,10")
