"""What the text filters leave out, by reason."""

import pyarrow as pa
import pytest

from datagen import filters


@pytest.mark.parametrize(
    ("language", "seed_text", "reason"),
    [
        ("en", "Garden hose 25 ft\nrubber hose\nhose nozzle", None),
        ("en", "Resistor 5 Ω, pack of 10\n5 ohm resistor", None),
        ("en", "園芸ホース 軽量 7.5m\nrubber garden hose 25 ft\nhose nozzle for the car", "wrong_language"),
        ("es", "園芸ホース 軽量 7.5m\nmanguera de jardín", "wrong_language"),
        ("ja", "園芸ホース\nUSB", None),
        ("ja", "Garden hose 25 ft", "wrong_language"),
    ],
)
def test_a_line_in_another_script_is_the_wrong_language(
    language: str, seed_text: str, reason: str | None
) -> None:
    found = filters.reasons(
        pa.array(["prompt"]), pa.array(["answer"]), pa.array([seed_text]), pa.array([language]),
        max_tokens=1000, language=True,
    )  # fmt: skip
    assert found == [reason]
