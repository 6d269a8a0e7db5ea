"""Tests of lines about long work."""

import pytest

from datagen.console.progress import note, warn


def test_a_line_on_what_goes_on_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    warn("Reading shop.jsonl into columns, once ...")
    warn("shop.jsonl: 3 of its rows left out")
    note("Nobody looks on")
    assert capsys.readouterr() == (
        "",
        "Reading shop.jsonl into columns, once ...\nwarning: shop.jsonl: 3 of its rows left out\n",
    )
