"""What the system refuses of a store's files, by what is to be done about it."""

import errno
import os
import ssl

import pytest

from crdt_sync.errors import StoreFailed, StoreForbidden, StoreFull
from crdt_sync.storage.file_failures import FREE_SPACE, GIVE_ACCESS, READ_ONLY, failed


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENOSPC, StoreFull, FREE_SPACE),
        (errno.EDQUOT, StoreFull, FREE_SPACE),
        (errno.EFBIG, StoreFull, FREE_SPACE),
        (errno.EROFS, StoreForbidden, READ_ONLY),
        (errno.EACCES, StoreForbidden, GIVE_ACCESS),
        (errno.EPERM, StoreForbidden, GIVE_ACCESS),
        (errno.EIO, StoreFailed, "Try again; if it stays so, check the disk and the limits of this process."),
    ],
)
def test_each_refusal_has_its_own_way_out(number, kind, hint):
    error = failed(OSError(number, os.strerror(number), "token"), "token cannot be written")
    assert (type(error), error.hint) == (kind, hint)
    assert error.message == f"token cannot be written: {os.strerror(number)}"


def test_what_is_wrong_with_the_file_itself_has_the_way_out_that_is_given():
    for error in (ssl.SSLError(errno.ENOSPC, "no certificate"), ValueError("no certificate")):
        found = failed(error, "it cannot be used", "Remove it.")
        assert (type(found), found.message, found.hint) == (
            StoreForbidden,
            "it cannot be used: no certificate",
            "Remove it.",
        )
