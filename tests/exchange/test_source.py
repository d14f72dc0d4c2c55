import io
import zipfile

import pytest

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange import TableOptions, open_table


@pytest.fixture
def archive(tmp_path):
    def _archive(**members: str):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as output:
            for name, content in members.items():
                output.writestr(name.replace("__", "/").replace("_csv", ".csv"), content)
        return path

    return _archive


def test_the_only_table_of_an_archive_is_read(archive, cells):
    table = open_table(archive(folder__a_csv="x\n1\n", readme="none"))
    assert (table.name, cells(table)) == ("a", [["1"]])


def test_of_several_tables_one_must_be_chosen_by_path_or_name(archive, cells):
    path = archive(folder__a_csv="x\n1\n", b_csv="x\n2\n")
    with pytest.raises(InvalidTable) as caught:
        open_table(path)
    assert "'folder/a.csv'" in caught.value.hint
    for member in ("folder/a.csv", "a.csv"):
        assert cells(open_table(path, TableOptions(member=member))) == [["1"]]
    with pytest.raises(InvalidTable, match=r"c\.csv"):
        open_table(path, TableOptions(member="c.csv"))


def test_folders_and_the_leftovers_of_other_systems_are_no_tables(shared_data):
    path = shared_data / "tables" / "uci_bank-additional.zip"
    with pytest.raises(InvalidTable, match="2 tables") as caught:
        open_table(path)
    assert "MACOSX" not in caught.value.hint


def test_progress_of_an_archive_counts_unpacked_bytes(archive):
    table = open_table(archive(a_csv="x\n" + "1\n" * 5000))
    list(table.rows())
    assert table.bytes_read == table.bytes_total == 10_002


def test_what_is_not_an_archive_is_refused(write):
    with pytest.raises(InvalidTable, match="ZIP"):
        write("a.zip", b"PK nothing")


def test_a_member_that_was_cut_or_changed_is_refused(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as output:
        output.writestr("a.csv", "x\n" + "1\n" * 100_000)
    broken = content.getvalue().replace(b"1\n1\n1\n", b"1\n1\n2\n", 1)
    path = tmp_path / "a.zip"
    path.write_bytes(broken)
    with pytest.raises(InvalidTable):
        list(open_table(path).rows())


def test_an_encrypted_member_is_refused(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as output:
        output.writestr("a.csv", "x\n1\n")
    raw = bytearray(content.getvalue())
    raw[6] |= 1  # the flag of the local header
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # and of the directory
    path = tmp_path / "a.zip"
    path.write_bytes(raw)
    with pytest.raises(InvalidTable, match="encrypted"):
        open_table(path)
