import re
import unicodedata

import pytest

from crdt_sync.exchange import MISSING, demo_table, import_table
from crdt_sync.records.schema import bundled_schema


@pytest.fixture(scope="module")
def companies():
    with demo_table() as table:
        return [
            {header: cell for header, cell in zip(table.columns, row.cells, strict=True) if cell is not MISSING}
            for row in table.rows()
        ]


def test_every_company_fits_the_bundled_schema(make_replica):
    replica = make_replica(bundled_schema("customers"))
    with demo_table() as table:
        report = import_table(replica, table, "customers")
        assert (report.failed, report.unmapped) == ((), ())
        assert report.created == report.rows >= 200
        assert import_table(replica, table, "customers").unchanged == report.rows


def test_addresses_lead_nowhere(companies):
    reserved = re.compile(r"(?:@|//|www\.)[a-z0-9.-]+\.example\.(?:com|org|net)(?:/|\Z)", re.IGNORECASE)
    for company in companies:
        for column in ("E-mail", "Website"):
            assert column not in company or reserved.search(company[column])


SCRIPTS = [
    "LATIN",
    "GREEK",
    "CYRILLIC",
    "ARABIC",
    "HEBREW",
    "DEVANAGARI",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
    "CJK",
    "THAI",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_many_scripts_are_there(companies, script):
    text = "".join(str(company) for company in companies)
    assert any(unicodedata.name(character, "").startswith(script) for character in set(text))


def test_cells_are_as_untidy_as_in_real_life(companies):
    cells = [cell for company in companies for cell in company.values()]
    for wanted in ("\n", '"', ",", ";", "'"):
        assert any(wanted in cell for cell in cells)
    assert any(cell != cell.strip() for cell in cells)
    assert any("Phone" not in company for company in companies)
    assert len({re.sub(r"\d+", "9", company.get("Phone", "")) for company in companies}) >= 40
