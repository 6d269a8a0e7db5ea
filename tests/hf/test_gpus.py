"""GPUs as they are written on a command line."""

import pytest

from datagen.errors import UserError
from datagen.hf.gpus import gpus


def test_a_size_or_a_name_tells_the_kind() -> None:
    assert str(gpus("8x80")) == "8 x A100"
    assert gpus("4x16").gpu == gpus("4xt4").gpu
    assert gpus("1xH200").gpu.gib == 140


def test_a_card_that_is_taken_for_a_size_is_told_once() -> None:
    assert gpus("8x80").taken == ", taken for that size (name it for another: 8xH100)"
    assert gpus("4x16").taken == ", taken for that size (others differ in speed)"
    assert (gpus("8xA100").taken, gpus("2x32").taken) == ("", "")


def test_of_an_unknown_size_only_the_memory_is_known() -> None:
    found = gpus("2x32")
    assert (found.number, found.gpu.gib, found.gpu.tflops) == (2, 29.8, None)


@pytest.mark.parametrize(
    "text", ["80", "0x80", "x80", "8x", "-1x80", "8x80x2", "8x0", "8x99999", "8x" + "9" * 99]
)
def test_what_names_no_gpu_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--gpus"):
        gpus(text)


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(UserError, match="no GPU `A10`: did you mean"):
        gpus("8xA10")
