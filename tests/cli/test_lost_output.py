"""What was edited, and whose output was lost, is said to be stored: to run the command again would edit twice."""

import errno
import io

import pytest

WRITES = {
    "set": ("set", "{record}", "visits+=1"),
    "create": ("set", "customers", "name=B", "visits=3"),
    "delete": ("delete", "{record}"),
    "import": ("import", "{table}", "-c", "customers"),
}
NO_WRITES = {
    "list": ("list",),
    "no news": ("set", "{record}", "visits=2"),
    "dry run": ("import", "{table}", "-c", "customers", "--dry-run"),
}


class FullDisk(io.StringIO):
    """A standard output on a full disk."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def call(run, made, tmp_path, monkeypatch):
    """Run a command whose output goes to a full disk."""
    record, table = made("name=A", "visits=2"), tmp_path / "t.csv"
    table.write_text("Name,City\nC,Ulm\n")

    def call(*arguments):
        with monkeypatch.context() as patched:
            patched.setattr("crdt_sync.cli.main.silence", lambda: None)
            patched.setattr("sys.stdout", FullDisk())
            return run(*(each.format(record=record, table=table) for each in arguments))

    return call


@pytest.mark.parametrize("arguments", WRITES.values(), ids=WRITES)
def test_an_edit_whose_output_fails_is_stored_and_not_to_be_repeated(call, arguments):
    for flags in ((), ("--json",)):
        result = call(*arguments, *flags)
        if flags and arguments[0] in ("delete", "import"):
            continue  # done already
        assert result.code == 2
        assert "edit_not_reported" in result.err
        assert "is stored; do not repeat it" in result.err
        assert "run it again" not in result.err


@pytest.mark.parametrize("arguments", NO_WRITES.values(), ids=NO_WRITES)
def test_where_nothing_was_edited_the_command_can_be_run_again(call, arguments):
    result = call(*arguments)
    assert (result.code, "Free space, and run it again." in result.err) == (2, True)


@pytest.mark.parametrize(("failure", "code"), [(BrokenPipeError(), 141), (RuntimeError("broken"), 1)])
def test_an_edit_whose_reader_has_gone_or_whose_report_fails_is_said_to_be_stored(
    run, made, monkeypatch, failure, code
):
    def fails(*_: object) -> None:
        raise failure

    record = made("name=A")
    with monkeypatch.context() as patched:
        patched.setattr("crdt_sync.cli.main.silence", lambda: None)
        patched.setattr("crdt_sync.cli.output.Output.result", fails)
        result = run("set", record, "visits+=1")
    assert (result.code, "The edit is stored; do not repeat it" in result.err) == (code, True)
    assert "again" not in result.err
    assert "Visits   1" in run("get", record).out
