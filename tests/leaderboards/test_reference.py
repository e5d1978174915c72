"""The papers' figures: complete, as printed, with the remarks that belong to them."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from dancebench.leaderboards.reference import Reference, load_reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    return load_reference()


def values(reference: Reference, table: str, row: str) -> list[str]:
    [found] = [item for item in reference.tables if item.id == table]
    [line] = [item for item in found.rows if item.name == row]
    return [str(value) for value in line.values]


def test_every_table_is_there(reference: Reference) -> None:
    numbers = [(table.paper, table.number) for table in reference.tables]
    edn = ["Table 1", "Table 2", "Table 3a", "Table 3b", "Table 4", "Table 5"]
    ddg = ["Table 1", "Table 2", "Table 3", "Table 4"]
    detectors = [("deepfakebench", "README, Results"), ("deepsafe", "Individual models")]
    assert numbers == [("edn", number) for number in edn] + [("ddg", number) for number in ddg] + detectors


def test_figures_keep_their_printed_digits(reference: Reference) -> None:
    assert values(reference, "edn-table-2", "nearest neighbours") == ["85", "93", "94", "90", "91", "91.2"]
    assert values(reference, "edn-table-3a", "FBF+TS+FG") == ["0.816", "0.036", "0.838", "0.050"]
    assert values(reference, "edn-table-5", "Misty Copeland") == ["97.00"]
    assert values(reference, "ddg-table-4", "complete body") == ["14.70", "17.59", "25.98", "41.73"]
    assert values(reference, "ddg-table-1", "DDG") == ["642.9080", "21.3286", "0.8115"]
    assert values(reference, "deepfakebench-auc", "SPSL")[:4] == ["0.9610", "0.8174", "0.8150", "0.7650"]
    assert values(reference, "deepsafe-video", "npr_video") == ["1978", "0.7982"]


@pytest.mark.parametrize("table", ["edn-table-1", "edn-table-2", "edn-table-3b"])
def test_remarks_state_the_true_means_of_the_rows(reference: Reference, table: str) -> None:
    [found] = [item for item in reference.tables if item.id == table]
    for row in found.rows:
        mean = sum(row.values[:5], Decimal(0)) / 5
        assert mean != row.values[5]
        assert f"{mean:.2f}".removesuffix("0") in found.remarks[0]


def test_table_4_prints_the_mean_of_its_row(reference: Reference) -> None:
    *subjects, total = (Decimal(text) for text in values(reference, "edn-table-4", "FBF+TS over FBF"))
    assert sum(subjects, Decimal(0)) / 5 == total


def test_answers_to_a_question_of_ddg_sum_to_a_hundred(reference: Reference) -> None:
    [found] = [item for item in reference.tables if item.id == "ddg-table-4"]
    for row in found.rows:
        assert sum(row.values) == pytest.approx(100, abs=0.02)


def test_psnr_of_ddg_exceeds_that_of_its_mean_mse(reference: Reference) -> None:
    for table in ("ddg-table-1", "ddg-table-2"):
        [found] = [item for item in reference.tables if item.id == table]
        for row in found.rows:
            mse, psnr, _ = row.values
            assert psnr > 10 * (Decimal(255) ** 2 / mse).log10()


def test_row_with_a_missing_value_is_refused(reference: Reference) -> None:
    data = reference.model_dump(mode="json")
    data["tables"][0]["rows"][0]["values"].pop()
    with pytest.raises(ValidationError, match="needs 6 values"):
        Reference.model_validate(data)


def test_table_of_an_unknown_paper_is_refused(reference: Reference) -> None:
    data = reference.model_dump(mode="json")
    del data["papers"]["ddg"]
    with pytest.raises(ValidationError, match="unknown papers: ddg"):
        Reference.model_validate(data)


def test_table_that_stands_twice_is_refused(reference: Reference) -> None:
    data = reference.model_dump(mode="json")
    data["tables"].append(data["tables"][0])
    with pytest.raises(ValidationError, match="twice"):
        Reference.model_validate(data)
