"""A device that edits and syncs until it is told to end, for others to freeze.

python -m crdt_bench.campaign.frozen_device STORE URL
"""

import sys
import time

from crdt_sync import Address, Replica, bundled_schema, keep_syncing

_PAUSE_S = 0.01


def main() -> None:
    """Say on standard output the tag of each edit once it is on this disk; end when standard input does."""
    replica = Replica.create(sys.argv[1], "frozen", [bundled_schema("customers")])
    with replica, keep_syncing(replica, Address(sys.argv[2])) as syncing:
        for number in range(100_000):
            with replica.edit("customers/shared", create=True) as editor:
                editor["name"] = "Shared"
                editor.add("tags", f"frozen {number}")
            print(f"frozen {number}", flush=True)
            if sys.stdin.readline() != "more\n":
                break
            time.sleep(_PAUSE_S)
        syncing.wait_stored("customers/shared", 60)


if __name__ == "__main__":
    main()
