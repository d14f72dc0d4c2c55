"""Hypothesis strategies for every message: `st.from_type(Push)`; `messages` gives any of them."""

from hypothesis import strategies as st

from crdt_sync.limits import INTEGER_EXACT_MAX, REASON_LENGTH_MAX, RECONCILE_OPEN_RANGES_MAX, RETRY_AFTER_MS_MAX
from crdt_sync.protocol import messages as m
from crdt_sync.protocol.entries import MARK_BYTES

numbers = st.integers(0, INTEGER_EXACT_MAX) | st.integers(0, 30)
sixteen = st.binary(min_size=16, max_size=16)
flags = st.booleans()
records = st.from_regex(r"\A[a-z][a-z0-9_-]{0,47}/[A-Za-z0-9._~-]{1,79}\Z")
state_vectors = st.binary(min_size=1, max_size=40)
columns = st.binary(max_size=60)
updates = st.binary(min_size=1, max_size=300)
reasons = st.text(st.characters(exclude_categories=["Cs"]), max_size=REASON_LENGTH_MAX)
tokens = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
_OTHERS = (m.VerdictCode.ACCEPTED, m.VerdictCode.GAP, m.VerdictCode.RATE_LIMITED)
refusals = st.sampled_from([code for code in m.VerdictCode if code not in _OTHERS])
waits = st.builds(m.RetryAfter, st.integers(1, RETRY_AFTER_MS_MAX), st.booleans())
put_off = st.sampled_from((m.VerdictCode.QUOTA, m.VerdictCode.RATE_LIMITED))


def _rows(entry, *columns, least=0):
    return st.lists(st.builds(entry, *columns), min_size=least, max_size=6).map(tuple)


_own = (st.just(False), st.none())  # what does not travel
_never = st.none()
verdicts = (
    st.builds(m.Verdict, st.just(m.VerdictCode.ACCEPTED), numbers, st.just(b""), st.just(""), *_own, _never)
    | st.builds(m.Verdict, st.just(m.VerdictCode.GAP), st.just(0), state_vectors, reasons, *_own, _never)
    | st.builds(m.Verdict, refusals, st.just(0), st.just(b""), reasons, *_own, _never)
    | st.builds(m.Verdict, put_off, st.just(0), st.just(b""), reasons, *_own, waits)
)
readable = st.sampled_from([standing for standing in m.Standing if standing < m.Standing.CHANGING])
unreadable = st.sampled_from([standing for standing in m.Standing if standing >= m.Standing.CHANGING])
checked = st.builds(m.CheckedEntry, records, sixteen, sixteen, readable) | st.builds(
    m.CheckedEntry, records, st.just(b""), st.just(b""), unreadable
)
places = numbers | st.binary(min_size=MARK_BYTES, max_size=MARK_BYTES)
resumes = st.none() | st.builds(m.Resume, sixteen, places, places)
versions = st.lists(st.integers(1, 9), min_size=1, max_size=16).map(tuple)
agents = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
actors = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
features = st.from_regex(r"\A[a-z][a-z0-9_]{0,31}\Z")
codes = st.from_regex(r"\A[a-z][a-z0-9_]{0,47}\Z")
retries = st.none() | st.integers(0, RETRY_AFTER_MS_MAX)
abouts = reasons.map(lambda text: text[:200])
frame_bytes = st.integers(8192, INTEGER_EXACT_MAX)

STRATEGIES = {
    m.Hello: (versions, sixteen, tokens, numbers, resumes, flags, numbers, agents),
    m.Welcome: (st.integers(1, 9), sixteen, numbers, sixteen, numbers, st.integers(0, 1), frame_bytes),
    m.Terms: (sixteen, flags, sixteen, st.lists(features, max_size=4).map(tuple)),
    m.Changes: (numbers, places, _rows(m.ChangesEntry, records, numbers, state_vectors)),
    m.Want: (numbers, _rows(m.WantEntry, records, state_vectors)),
    m.Updates: (
        numbers,
        st.none() | places,
        places,
        flags,
        _rows(m.UpdatesEntry, records, updates, st.just(b"") | state_vectors),
    ),
    m.Have: (places, numbers),
    m.Push: (numbers, _rows(m.PushEntry, records, updates, least=1)),
    m.Ack: (numbers, st.none() | places, places, st.lists(verdicts, min_size=1, max_size=6).map(tuple)),
    m.Ranges: (st.integers(0, RECONCILE_OPEN_RANGES_MAX), columns, columns, columns),
    m.ReceiptRequest: (numbers,),
    m.Receipt: (numbers, numbers, numbers, st.binary(min_size=32, max_size=32)),
    m.Presence: (_rows(m.PresenceEntry, records, actors),),
    m.Ping: (numbers,),
    m.Pong: (numbers,),
    m.Bye: (codes, reasons, retries),
    m.Audit: (flags,),
    m.Check: (numbers, flags, st.lists(records, min_size=1, max_size=6).map(tuple)),
    m.Checked: (numbers, st.lists(checked, min_size=1, max_size=6).map(tuple)),
    m.Said: (st.lists(updates, min_size=1, max_size=6).map(tuple),),
    m.Reported: (
        numbers,
        _rows(m.ReportEntry, numbers, features, abouts, numbers, least=1),
    ),
    m.Noted: (numbers,),
    m.NewToken: (st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200),),
    m.Dropped: (st.none() | places, places, st.lists(records, min_size=1, max_size=6).map(tuple)),
    m.Regranted: (st.binary(min_size=16, max_size=16), flags),
}
for message, parts in STRATEGIES.items():
    st.register_type_strategy(message, st.builds(message, *parts))

messages: st.SearchStrategy[m.Message] = st.one_of([st.from_type(message) for message in STRATEGIES])
