"""The text filters, reason by reason."""

import pyarrow as pa
import pytest

from datagen.pipeline import filters


@pytest.mark.parametrize(
    ("language", "seed_text", "reason"),
    [
        ("en", "Garden hose 25 ft\nrubber hose\nhose nozzle", None),
        ("en", "Resistor 5 Ω, pack of 10\n5 ohm resistor", None),
        ("en", "園芸ホース 軽量 7.5m\nrubber garden hose 25 ft\nhose nozzle for the car", "wrong_language"),
        ("es", "園芸ホース 軽量 7.5m\nmanguera de jardín", "wrong_language"),
        ("ja", "園芸ホース\nUSB", None),
        ("ja", "Garden hose 25 ft", "wrong_language"),
        ("es", "manguera flexible para jardín con pistola\nmanguera de goma", None),
        ("es", "manguera jardin flexible agua\nsoporte pared metal negro", None),
        ("es", "rubber garden hose with nozzle\nhose holder for the wall of your house", "wrong_language"),
        ("en", "manguera flexible para el jardín de casa\nsoporte de pared", "wrong_language"),
        ("en", "gift set for women, eau de parfum and body lotion\nthe best of the year", None),
    ],
)
def test_a_row_of_another_script_or_language_is_left_out(
    language: str, seed_text: str, reason: str | None
) -> None:
    found = filters.reasons(
        pa.array(["prompt"]), pa.array(["answer"]), pa.array([seed_text]), pa.array([language]),
        max_tokens=1000, language=True,
    )  # fmt: skip
    assert found == [reason]


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("Nike Air Max 90 Essential Mens Running Shoes White", "wrong_language"),
        ("Skechers Elite Sr, Zapatillas Mujer, Black, 38 EU", None),
        ("Sony SRSXB31L - Altavoz portátil Bluetooth", None),
    ],
)
def test_an_english_title_is_no_answer_in_spanish(title: str, reason: str | None) -> None:
    told = "Parte superior de cuero\nSuela de goma con dibujo\n" + title
    found = filters.reasons(
        pa.array(["prompt"]),
        pa.array([title]),
        pa.array([told]),
        pa.array(["es"]),
        max_tokens=1000,
        language=True,
    )
    assert found == [reason]
