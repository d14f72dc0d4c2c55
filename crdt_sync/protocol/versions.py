"""The versions of the protocol that this side speaks, and what each has.

`hello`, `welcome` and a `bye` before it have the layouts of `GREETING`, as no version is chosen then. A message is
never sent to a partner whose version does not have it: what came with a later version stands in `SINCE`.
"""

from crdt_sync.protocol.messages import Dropped, Message, NewToken, Noted, Regranted, Reported, Said, Terms

GREETING = 1
TERMS = 2  # from this version on, each side tells its terms before anything else
PEOPLE = (
    3  # from this version on, spaces have people: partners pass on what their space said, and may hold a part of it
)
NEWEST = PEOPLE
VERSIONS = (3, 2, 1)

SINCE: dict[type[Message], int] = {
    Terms: TERMS,
    Said: PEOPLE,
    NewToken: PEOPLE,
    Reported: PEOPLE,
    Noted: PEOPLE,
    Dropped: PEOPLE,
    Regranted: PEOPLE,
}
LINEAGE = "lineage"  # knows records that were renewed, see docs/decisions/0068-a-record-is-renewed-by-what-it-shows.md
REPORTS = "reports"  # takes reports of what was done on a device, as relays do
RETRY_AFTER = "retry_after"  # knows `rate_limited`, and verdicts that say when to try again
FEATURES = frozenset({LINEAGE, REPORTS, RETRY_AFTER})
"""What this side can do beyond its version; a partner is sent what belongs to a feature only if it named it, too."""


def known(message: type[Message], version: int) -> bool:
    """Whether partners that speak `version` know the message."""
    return SINCE.get(message, GREETING) <= version
