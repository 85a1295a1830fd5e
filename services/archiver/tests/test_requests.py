import pytest

from heliograph.archiver.requests import Request
from heliograph.common.errors import InputError


@pytest.mark.parametrize("data", [b"[]", b"1", b"{", b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"request: .*expected a JSON object"):
        Request.parse(data)


def test_no_body_is_an_empty_request() -> None:
    assert Request.parse(b"").integer("limit", 7, least=1, most=9) == 7


@pytest.mark.parametrize("value", ["1", 1.5, True, 0, 10, [], {}])
def test_a_wrong_number_names_field_value_and_range(value: object) -> None:
    with pytest.raises(InputError, match=r"limit: .*expected a whole number from 1 to 9"):
        Request({"limit": value}).integer("limit", 7, least=1, most=9)


@pytest.mark.parametrize("value", ["", "x" * 257, 5, None, ["AAPL"]])
def test_a_wrong_text_names_field_and_value(value: object) -> None:
    with pytest.raises(InputError, match=r"symbol: .*expected a text"):
        Request({"symbol": value}).text("symbol")


@pytest.mark.parametrize("fields", [{}, {"a": 1, "b": 2}, {"c": 1}])
def test_exactly_one_field_must_be_given(fields: dict[str, int]) -> None:
    with pytest.raises(InputError, match="exactly one of a, b"):
        Request(fields).one_of("a", "b")
