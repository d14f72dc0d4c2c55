"""Every limit in one place: the number, its unit in the name, and the reason beside it.

Sizes are bytes unless the name says otherwise. A limit that a remote can reach has a refusal code in
`docs/protocol.md`; both sides of each limit are tested.
"""

KIB = 1024
MIB = 1024 * KIB

# --- records -------------------------------------------------------------------------------------------------
STAMP_MAX = (1 << 53) - 1  # stamps travel as Yjs numbers, which are JavaScript doubles
STAMP_AHEAD_US_MAX = 5 * 60 * 1_000_000  # a device clock further ahead would win every conflict
STAMP_TIME_US_MIN = (
    978_307_200 * 1_000_000
)  # 2001: below, the clock had never been set; those start in 1970, 1980 or 2000
STAMP_FOLLOWED_US_MAX = STAMP_AHEAD_US_MAX // 2  # so that what is written after such a stamp is not refused itself
INTEGER_EXACT_MAX = (1 << 53) - 1  # beyond it, integers travel as strings
VALUE_BYTES_MAX = 64 * KIB  # one value, set member or log entry: a long mail fits
TEXT_BYTES_MAX = 512 * KIB  # one text field: a book chapter
LABEL_LENGTH_MAX = 200  # characters of the label of a field or a schema, which heads a column
FIELDS_MAX = 512  # fields of one schema: the widest CRM objects have about 500
SCHEMA_BYTES_MAX = 256 * KIB  # one definition of a collection: 512 fields with labels, aliases and choices
FIELDS_FORMER_MAX = 4 * FIELDS_MAX  # fields of older versions that a definition remembers
SCHEMA_VERSION_MAX = 1_000_000
SCHEMAS_SETTLED_MAX = 64  # definitions that were decided against, of which a definition remembers that
RESERVED_COUNTED_MAX = 1_000  # records of one reserved collection that no count of records has: a page of names
SCHEMAS_TAKEN_BYTES_MAX = 2 * MIB  # of their schemas together, all of which each command reads: 0.3 s
SCHEMAS_TAKEN_MAX = 256  # collections whose definitions of others are taken over: whoever writes may define any number
ROOTS_MAX = 2 * FIELDS_MAX + 64  # roots of one record: every field, what a source says of each text, and some more
JSON_DEPTH_MAX = 32  # nesting of one JSON value
ACTOR_LENGTH_MAX = 64  # characters
SOURCE_LENGTH_MAX = 48  # characters of the name of what is imported; an actor with "import " before it
MEMORIES_MAX = 256  # entries of what sources said that are read of one record, the newest: honest ones are a few
SOURCE_TEXT_BYTES_MAX = 4 * KIB  # texts up to here are remembered whole, so that edits on both sides can be merged
REPLACED_MAX = 8  # values that an entry replaces before they arrive, the last: one for each edited export on its way
REPLACED_KEPT_US = 30 * 24 * 3600 * 1_000_000  # what an export was edited from has arrived everywhere by then
BEGINNINGS_MAX = 64  # devices that began one record apart, of which first texts and counts are compared: the first ones
KEY_LIVES_MAX = 1000  # records made under one natural key, one after the other was deleted or left it
RECORD_GROWN_BYTES_MAX = MIB  # a record that has more takes no local edit that adds content
RECORD_BYTES_MAX = 2 * RECORD_GROWN_BYTES_MAX + 256 * KIB  # integrated: two devices that filled it, and room to delete
RENEWED_BYTES_MIN = 4 * KIB  # a smaller record is not worth a renewal: it costs everybody a whole record
GENERATIONS_MAX = 1 << 32  # lineages of one record, each later than the last: whoever writes may claim any number
RENEWED_CONTENT_FACTOR = 8  # a record is grown that takes more than so many times its content: with the tail, up to 10
RENEWED_WRITER_BYTES = 14  # of each writer that ever wrote in a record: what a fresh document says of it
FOLLOWING_WRITERS_MAX = 1 << 20  # ids after one of a life that are taken for its own: one each time a record is renewed
CLIENTS_MAX = 20_000  # writers in one record: 9 bytes each in a state vector, 180 kB
STATE_VECTOR_BYTES_MAX = CLIENTS_MAX * 16 + 3  # two varints of at most 8 bytes for each writer
GROWTH_OPERATIONS_MAX = 1 << 30  # deleted operations in one update, a quarter of all clocks: they take no bytes, so
# length does not bound them; a note of 512 KiB that was rewritten 2,000 times has as many
PLACING_STEPS_MAX = 100_000  # of finding where the items of one update stand: 0.1 s; honest ones need some dozens
WALKED_STEPS_MAX = 4_000_000  # of integrating a record in the worst order: 0.4 s; people who wrote a long note at the
# same time make ten thousand, eight devices that put 260 entries on top of one while apart four million
WALKED_STEPS_PER_KIB = 20_000  # and for each KiB of it: 2 ms, where a worker may take 5
TOKENS_OF_DEVICE_MAX = 64  # in one record, that cannot be read: a device leaves one when the space's key changes
WRITERS_KNOWN_MAX = 65_536  # of which a worker knows whose they are, some 130 bytes each; more than one update may have
WRITERS_ASKED_MAX = 1000  # that a worker asks of at once: each is looked up on the disk, ten milliseconds together
OVERLAPPING_EDITS_MAX = 64  # edit blocks of one record that are open at once: each has a writer id of its own
NESTING_MAX = 8  # containers inside one update; our own layout needs 1, hostile ones reach 26,000

# --- policy --------------------------------------------------------------------------------------------------
POLICY_BYTES_MAX = MIB  # of its text, which is signed whole and fits a frame: 10,000 users with some attributes
KEY_PARTS_MAX = 16  # parts of a name with dots in it, which cost their square; a policy has four levels
ROLES_MAX = 200  # roles of one policy: more than any company tells apart
ROLE_GRANTS_MAX = 100  # grants of one role: some for each collection
POLICY_USERS_MAX = 10_000  # as many as sessions
POLICY_NAME_LENGTH_MAX = ACTOR_LENGTH_MAX  # characters of a user, a role or an attribute: a user is an actor
ATTRIBUTES_MAX = 32  # attributes of one user
ATTRIBUTE_VALUES_MAX = 1000  # values of one attribute: each shop of a chain; each is an atom of its own
WHERE_LENGTH_MAX = 2000  # characters of one condition on records
CONDITIONS_MAX = 64  # comparisons in it
GRANT_NAMES_MAX = FIELDS_MAX  # fields and sections that one grant names
SILENT_DAYS_MAX = 3650  # for which a device may be without contact: ten years; 0 says that it may be for ever
SIGHTS_MAX = 8  # grants under which one device may have come to hold records since its cursor: beyond, all is compared
SIGHTS_KEPT_MAX = 20_000  # that are remembered: two of each user; a device whose one is forgotten is compared with
UNSENT_RECORDS_MAX = 1000  # whose edits are kept aside on a device that may not hold them any more
UNSENT_KEPT_BYTES_MAX = 16 * MIB  # of those edits together
MOVES_KEPT_MAX = 16  # different places that one record has left: beyond, cursors older than the first are compared with
FILTER_VALUE_LENGTH_MAX = 200  # characters of a value that chooses records: a longer one equals nothing
MASKED_LENGTH_MAX = 1_000  # characters of a value that is shown in part: of a longer one nothing is
MASKED_VALUES_MAX = 16  # values of a field that wait for a decision and are shown in part: people meet two or three
POLICY_PROBLEMS_MAX = 50  # problems of a policy that are told at once
REFUSED_EDITS_MAX = 1000  # edits that a policy did not allow and a device keeps: weeks of a role that was changed
REFUSED_EDITS_BYTES_MAX = 16 * MIB  # of them all; each may be a long text

# --- protocol ------------------------------------------------------------------------------------------------
FRAME_BYTES_MAX = 4 * MIB  # one record and its state vector always fit
FRAME_BYTES_TARGET = 256 * KIB  # batches stop growing here, and earlier on a slow link: see `protocol.pace`
HANDSHAKE_BYTES_MAX = 16 * KIB  # of the request for a connection: browsers and proxies send a few kB of headers
HELLO_BYTES_MAX = 8 * KIB  # nothing larger is decoded before the token was checked
TOKEN_LENGTH_MAX = 4096  # characters; a signed grant is about 1,000
UPDATE_BYTES_MAX = RECORD_BYTES_MAX
PAGE_RECORDS_MAX = 512  # entries of one page of changes
PUSH_RECORDS_MAX = 512  # records of one push
WANT_RECORDS_MAX = 512  # one page's worth
WANTED_BYTES_MAX = 2 * FRAME_BYTES_MAX  # of state vectors in the wants of one session that wait for their answers
UPDATES_RECORDS_MAX = 512  # updates of one frame: the answer to one want
VERSIONS_MAX = 16  # protocol versions that one side offers
FEATURES_MAX = 64  # names of what one side can do beyond its version
FEATURE_LENGTH_MAX = 32  # characters
AGENT_LENGTH_MAX = 64  # characters of the program's name and version
FRAME_DEPTH_MAX = 6  # arrays inside arrays of one frame; today's messages need 3
FRAME_ITEMS_MAX = 4 * 512 + 64  # CBOR items of one frame: 512 entries of three fields and the rest
RETRY_AFTER_MS_MAX = 24 * 3_600_000  # a relay may send a device away for a day, not for ever
READ_BYTES_TARGET = 512 * KIB  # stored bytes that one turn of answering a want reads: some milliseconds
READ_RECORD_BYTES = 2 * KIB  # that a record counts as at least, one that is not held, too
PAGES_IN_FLIGHT_MAX = 4  # pages sent ahead of the partner's answer: hides the round trip, bounds memory
PUSHES_IN_FLIGHT_MAX = 64  # pushes not yet acknowledged, per session
WINDOW_BYTES_MAX = 8 * MIB  # of updates under way in one direction
PUSH_BYTES_IN_FLIGHT_MAX = WINDOW_BYTES_MAX
UNCONFIRMED_BYTES_MAX = WINDOW_BYTES_MAX  # updates sent that the partner has not yet confirmed as stored
UNSTORED_BYTES_MAX = 4 * UNCONFIRMED_BYTES_MAX  # updates that came and wait for the disk: beyond them nothing is read
UNSTORED_PARTS_MAX = 4096  # likewise: what is to be stored together, be it as small as may be
TAKEN_BYTES_MAX = 2 * WINDOW_BYTES_MAX  # of pushes of all sessions, not yet answered, with all copies of them
TAKEN_UPDATE_BYTES = 2 * KIB  # that an update counts as there at least: 8,192 are 0.8 s of work, and 10 MiB of memory
TAKEN_FRAME_BYTES = KIB  # a frame up to here is taken all the same of who has nothing under way
COMING_BYTES_MAX = (
    2 * FRAME_BYTES_MAX
)  # of larger frames of all connections, from their first byte until a session takes them
SHARED_BYTES_MAX = 32 * KIB  # of updates that followers are sent together, before it is seen who takes them
SMALL_FRAME_BYTES = 8 * KIB  # a frame up to here needs no room there: a hello, and an edit
UNTAKEN_BYTES_MAX = 6 * MIB  # of what was sent on all connections and is not taken, beyond a little on each
ROOM_S = 20.0  # that a frame may take for which others wait: the first ones of a link at 5 kB/s
ROOM_HELD_S = 4.0  # that room for as much as others wait for may be held meanwhile: what is sent and answered in
# `ANSWER_US_TARGET` is no larger; what they wait for counts as `FRAME_BYTES_TARGET` at least
UNSENT_BYTES_MAX = (
    2 * FRAME_BYTES_MAX
)  # that a device has to say to a partner that takes nothing, before it hears no more
PRESENCE_ENTRIES_MAX = 64
UNREAD_FRAMES_ASKED = 16  # confirmations and the like after which a partner is asked whether it reads them
UNREAD_FRAMES_MAX = 24  # of them that it may not have read: beyond, they are joined, as a host that waits keeps them
REASON_LENGTH_MAX = 256  # characters of a human-readable reason on the wire
HANDSHAKE_TIMEOUT_US = 10 * 1_000_000
STRANGERS_MAX = 1024  # connections on which no hello was accepted yet, 30 kB each; 1,000 devices may come back at once
STRANGER_S_MIN = 2.0  # that one has for its hello before it gives way to others of its address: some round trips
KEEPALIVE_US = 20 * 1_000_000  # well under the 60 s after which home routers forget a connection
PING_S_MIN = 1.0  # the shortest settable: a ping is 60 bytes with its headers, 10,000 devices send 10,000 a second
PING_S_MAX = KEEPALIVE_US / 1e6  # the longest: who is silent for longer is given up by partners of any setting
SILENCE_US_MAX = 2 * KEEPALIVE_US + 5_000_000  # without a frame, and longer while the bytes of one arrive
LINK_BYTES_PER_S_MIN = 1000  # a link that carries less is as good as none; a congested mobile network has 5,000
BURST_US_MAX = KEEPALIVE_US  # between two bursts of bytes on a link that carries them slowly: mobile networks pause
ANSWER_US_MAX = 120 * 1_000_000  # for an answer that needs a disk or a worker, beside what its bytes take
WORK_US_MAX = 900 * 1_000_000  # for one that needs a look at all records, or the partner's own work
ANSWER_US_TARGET = 4 * 1_000_000  # so much is under way as a link carries in this time
WINDOW_BYTES_FIRST = 64 * KIB  # until a link's speed is known: 13 s at 5 kB/s
WINDOW_BYTES_MIN = 16 * KIB  # 3 s at 5 kB/s
BACKOFF_US_FIRST = 500_000
BACKOFF_US_MAX = 60 * 1_000_000

# --- reconciliation ------------------------------------------------------------------------------------------
RECONCILE_FAN_OUT = 16  # parts of a split: wide enough for 100,000 records in three levels
RECONCILE_PARTS_MAX = 64  # parts that a partner may make of one range
RECONCILE_LEAF_RECORDS = 32  # a range with no more is listed: another level would cost a round to save 1 kB
RECONCILE_OPEN_RANGES_TARGET = 16_384  # with so many ranges open, only the leftmost is split further
RECONCILE_OPEN_RANGES_MAX = RECONCILE_OPEN_RANGES_TARGET + 1024  # the leftmost on every level; 200 B each
RECONCILE_LISTED_RECORDS_TARGET = 16_384  # listed and not yet replied to, but for the leftmost range: a frame or more
RECONCILE_LISTED_RECORDS_MAX = 2 * RECONCILE_LISTED_RECORDS_TARGET  # with that; the partner keeps 150 B for each
RECONCILE_RECORDS_MAX = 1 << 24  # records of one side: a hundred times the largest customer base tried
RECONCILE_FRAME_BYTES_MIN = 8 * KIB  # the longest possible split fits
RECONCILE_HEAD_BYTES = 32  # of one message: the CBOR around its columns, type and fields, and the checksum
RECONCILE_COLUMN_BYTES_MAX = FRAME_BYTES_TARGET - RECONCILE_HEAD_BYTES  # all columns of one message together
RECONCILE_MESSAGES_FREE = 64  # from each side, whatever the sizes: a healthy run over few records takes 3
RECONCILE_RECORDS_PER_MESSAGE_MIN = 16  # beyond those: the smallest frame lists 50 of the longest ids, or 25 on average

# --- audits --------------------------------------------------------------------------------------------------
AUDIT_DIFFERENCES_MAX = 65_536  # records that one audit names; 100 B each, and beyond them the rest is counted
CHECK_RECORDS_MAX = 256  # records of one check: each is loaded three times, 100 ms of work in all
CHECKS_IN_FLIGHT_MAX = 4  # checks of one session without answer
CONTENT_DIGESTS_AGE_US_MAX = 10 * 60 * 1_000_000  # used again for so long: 100,000 records take half a minute

# --- storage -------------------------------------------------------------------------------------------------
MAP_BYTES_FIRST = 1 << 36  # 64 GiB of address space, sparse: growth is the exception
UPGRADE_ROOM_BYTES = 64 * MIB  # that stay free on the disk beside the copy before an upgrade: for some days of edits
PACKED_BYTES_MIN = 256  # of a stored value that may be packed: of an edit of one field there is little to save
PACKED_BYTES_MAX = 4 * MIB  # unpacked; the largest record fits, and no made-up value takes more memory
TAIL_UPDATES_MAX = 32  # updates after a record's snapshot before a new snapshot is due
TAIL_SHARE = 8  # and the share of the snapshot, one in so many of its bytes, that they are then
TAIL_LONGEST = 8  # times as many updates bring one all the same: 256 small ones are loaded in some 2 ms
COMMIT_BATCHES_MAX = 4096  # batches joined in one group commit
RECENT_EDITS_MAX = 16  # edits of one record that are kept as they were made: beyond, their difference is smaller
RECENT_BYTES_MAX = 64 * KIB  # and their bytes
RECENT_RECORDS_MAX = 64  # of which such edits are kept, for all partners together: 4 MiB
STATUS_ENTRIES_MAX = 4096  # entries of an outbox that a status looks at: 20 ms
STATUS_SIZED_MAX = 256  # records whose differences a status makes, to count their bytes: 50 ms
STATUS_BYTES_MAX = 16 * MIB  # and no more of them than that
STATUS_EXAMINED_MAX = 64  # records whose updates a status looks at for each device that calls: 6 ms
SCHEMALESS_NAMED_MAX = 16  # collections without a schema that a status names; a partner can make up any number
LIVES_MAX = 256  # a restart each day for most of a year; whoever was away longer compares, for less than 1 kB

# --- audit log -----------------------------------------------------------------------------------------------
AUDIT_ENTRY_BYTES_MAX = 64 * KIB  # one entry: 512 fields with names of 100 characters fit
AUDIT_AUTHORS_MAX = 32  # whose entries one update brings, that have a line each: it is a whole record of many people
AUDIT_ABOUT_LENGTH_MAX = 1000  # characters of what an entry says beside: a checkpoint takes 450
AUDIT_WAIT_S = 1.0  # that lines which tell of no change wait for a commit to go with
AUDIT_WAITING_MAX = 10_000  # such lines, while the disk takes nothing: beyond it they are counted
AUDIT_MINUTE_US = 60 * 1_000_000  # in which what is alike is counted
AUDIT_COUNTED_MAX = 4096  # of what is alike in one minute: addresses and devices, 300 bytes each
AUDIT_REFUSED_NAMED_MAX = 100  # refused changes of one device that have a line each in a minute; the others are counted
AUDIT_SCANNED_MAX = 20_000  # entries looked at in one read of the store: 10 ms
REPORTS_KEPT_MAX = 1000  # acts that a device keeps until its relay has noted them: 60 kB; beyond it the oldest go
REPORTS_TOLD_MAX = 100  # of them in one message
REPORT_ABOUT_LENGTH_MAX = 200  # characters of what one is about: a collection, or whom a bundle is for
GIVEN_KEPT_MAX = 10_000  # companions that a session remembers to have told of: 1 MB; beyond it they are told again
WATCHED_SECTIONS_MAX = 64  # of which a policy asks that it is told who was given them
AUDIT_REPORTED_NAMED_MAX = 1000  # reports of one device, and sections that it is given, with a line each in a minute
AUDIT_REPORTED_DAY_MAX = 5000  # reports of one device with a line each in a day: some 2 MB, and then a line a minute
AUDIT_REPORTERS_MAX = 20_000  # devices of a day that this is counted for, as for quotas
AUDIT_DROPPED_MAX = 2000  # entries dropped in one transaction: a few milliseconds during which nobody else can commit

# --- tables --------------------------------------------------------------------------------------------------
TABLE_LINE_LENGTH_MAX = 2 * RECORD_BYTES_MAX  # characters of one line: a record with every quote doubled fits
TABLE_CELL_LENGTH_MAX = TEXT_BYTES_MAX  # characters of one cell: the largest text field
TABLE_JSON_BYTES_MAX = 64 * MIB  # one JSON document, read as a whole; up to 13 times that in memory: see decision 57
TABLE_JSON_CONTAINERS_MAX = 1 << 20  # arrays and objects in it, which take 64 bytes and more each, empty ones too
SHEET_MARKUP_BYTES_MAX = 1 * MIB  # of a workbook from one ">" to the next: a cell holds 32,767 characters
TABLE_SHEET_BYTES_MAX = 1024 * MIB  # one workbook unpacked, summed over its parts: a full sheet has about 400 MiB
SPOOL_MEMORY_BYTES_MAX = 8 * MIB  # rows of a workbook that are kept for the next pass; beyond it in a temporary file
SPOOL_BYTES_MAX = 512 * MIB  # of that file: what is beyond it is read from the workbook again
TABLE_FAILURES_KEPT_MAX = 10_000  # row errors listed in one report; the others are counted
NUMBERING_SOURCES_MAX = 32  # sources among whose records the number of a new row is looked for: a read for each
EXPORTS_KEPT_MAX = 32  # exports whose content is remembered, so that the cells edited since are found
EXPORTS_OF_NAME_MAX = 4  # of them under one name
EXPORTS_BYTES_MAX = 64 * MIB  # packed; a table of 40,000 rows takes about 3 MiB
EXPORTS_READ_BYTES_MAX = 64 * MIB  # of them unpacked, held by one import: a table of 40,000 rows takes about 12 MiB
BASE_LENGTH_MAX = 32_000  # characters of the cell that says what a row was exported from: fits a cell of a sheet
BASE_BYTES_MAX = 512 * KIB  # of it unpacked: a row with some texts of the longest a cell of a sheet holds
VERSIONS_OF_SOURCE_MAX = 256  # imported versions of one source that are known again: 20 kB; daily ones for months
TABLE_CHANGES_KEPT_MAX = 1_000  # changed cells listed in one report; the others are counted

# --- device to device ----------------------------------------------------------------------------------------
LISTENER_SESSIONS_MAX = 64  # a warehouse's devices; what a relay is for begins beyond that
LISTENING_PORT = 8767  # beside the two of a relay
NEARBY_DEVICES_MAX = 64  # that are asked for their address, and shown; anybody on the network can announce devices
PARTNERS_MAX = 64  # for whom outboxes are kept, and of those who call; whoever was longest away is compared with

# --- identity ------------------------------------------------------------------------------------------------
USER_LENGTH_MAX = ACTOR_LENGTH_MAX  # characters: a user is the actor of what they write
REVOKED_DEVICES_MAX = 10_000  # of one space: 250 kB, a device lost a week for a company of thousands
REVOKED_USERS_MAX = 10_000
DEVICES_LISTED_MAX = 10_000  # of one space: 320 kB of keys, and the names of their users
HANDED_IN_RECORDS_MAX = 10_000  # whose unsent edits a device hands in that was shut out: more stay on it
HANDED_IN_BYTES_MAX = 16 * MIB  # of these edits: a month of one person's, in memory while they come
HANDED_IN_DEVICES_MAX = 64  # of one space, whose edits wait for review: 1 GiB at most
HAND_IN_S_MAX = 300.0  # from the welcome to the last of them: 16 MiB at 56 kB/s
HAND_IN_BEFORE_WIPE_S = 30.0  # by then a device that is to be wiped is wiped, whether it could hand in or not
SPACE_KEYS_MAX = 8  # that hold at once: rotations overlap, one or two at a time
KEYS_STATEMENTS_MAX = 64  # kept, so that who knows an old key is led to the newest: two for each rotation
STATEMENTS_SAID_MAX = KEYS_STATEMENTS_MAX + 3  # in one message: all keys and one of each other kind fit into a frame
STATEMENTS_LEADING_MAX = 4  # in the answer to an upgrade, 300 to 650 B each: proxies allow 4 KiB of headers in all
STATEMENT_BYTES_MAX = POLICY_BYTES_MAX + 16 * KIB  # a policy and what is around it; the others are smaller
CONTRADICTIONS_KEPT_MAX = 16  # pairs of statements of one version, as evidence: the first ones tell it
SIGNED_TOKEN_LENGTH_MAX = 2048  # characters; they take about 530, with the longest name in Chinese 800
TOKENS_CACHED_MAX = 2048  # checked tokens, 1 kB each: what is connected, and comes back
SIGNATURES_CACHED_MAX = 16_384  # checked signatures of entries, 120 B each: what a device looks at again and again
KEYS_EVER_MAX = SPACE_KEYS_MAX * KEYS_STATEMENTS_MAX  # remembered: whose word may be a contradiction
TOKEN_LIFE_US = (
    14 * 24 * 3600 * 1_000_000
)  # renewed after half of it: who works offline for a week still has one. It is
# all that bounds a stolen device among devices that never hear of it
TOKEN_SKEW_US = STAMP_AHEAD_US_MAX  # between the clocks of who issued a token and who checks it
ID_TOKEN_LENGTH_MAX = (
    3900  # characters: what is shown beside a key and a proof; those of login systems take 1,000 to 2,000
)
LOGIN_MAPPED_MAX = 1000  # values of a claim that a policy maps: groups of a company
LOGIN_VALUES_MAX = 100  # of them that one user has: those of a person, nested ones included
LOGIN_VALUE_LENGTH_MAX = 200  # characters of one: a group's distinguished name
LOGIN_DAYS_MAX = 3650  # days after which somebody has to log in again
LOGIN_ANSWER_BYTES_MAX = 256 * KIB  # of a login system to a device: what it says of itself is some kilobytes
LOGIN_CODE_LENGTH_MAX = 4096  # characters of the secret with which a device asks for its token
LOGIN_POLL_S_MAX = 60  # seconds between two such questions
LOGIN_WAIT_S_MAX = 1800  # seconds that somebody has to log in: codes hold for 5 to 15 minutes
LOGIN_KEYS_MAX = 64  # keys of a login system: it has two or three
LOGIN_KEYS_BYTES_MAX = 256 * KIB  # of its JWKS, some of which carry whole chains of certificates
INVITE_SECRET_BYTES = 16  # nobody guesses it
INVITE_LIFE_US = 3 * 24 * 3600 * 1_000_000  # sent on a Friday, opened on Monday
INVITE_ADDRESS_LENGTH_MAX = 200  # characters of the relay's address
INVITE_LINK_LENGTH_MAX = 1200  # characters, with the spaces that mails put in; the longest address makes 520

# --- bundles -------------------------------------------------------------------------------------------------
BUNDLE_HEADER_BYTES_MAX = 64 * KIB
BUNDLE_ENVELOPE_BYTES_MAX = 256 * KIB
BUNDLE_DEVICES_MAX = 2_000  # that one is sealed to: 96 bytes and 0.15 ms each
BUNDLE_KNOWN_MAX = 512  # feeds that a header says something about: 47 bytes each
BUNDLE_CHUNK_BYTES_TARGET = 256 * KIB  # unpacked; what one commit costs is spread thin, an interrupt loses little
BUNDLE_CHUNK_BYTES_MAX = FRAME_BYTES_MAX  # unpacked: the largest record fits, and no bomb takes more memory
BUNDLE_CHUNK_RECORDS_MAX = UPDATES_RECORDS_MAX
BUNDLE_CHUNKS_MAX = 1 << 16  # 100 bytes of memory each while a bundle is applied; 16 GiB of records
BUNDLE_POISONS_MAX = 16  # updates of one bundle that may kill a worker, some seconds each, before the rest is refused
BUNDLE_LEFT_OUT_KEPT_MAX = 200  # records left out that are named; the others are counted
BUNDLE_ARRIVALS_MAX = 4  # bundles whose interrupted application can be resumed
BUNDLE_LIVES_KEPT_MAX = 8  # of each partner: bundles of the last ones are recognised, in whatever order they come
BUNDLE_HEARD_SHOWN_MAX = 16  # devices known through others only that a status shows: 5 ms each
BUNDLE_PARTNERS_MAX = 256  # partners that are met by bundle, 300 bytes each

# --- relay ---------------------------------------------------------------------------------------------------
SESSIONS_MAX = 10_000
SPACES_MAX = 200  # beside the default: each has a store open, two threads, and room for what its devices push
INTEGRATION_UPDATES_MAX = 512  # updates of one request to the integration worker; of a batch of pushes an eighth: 4 ms
INTEGRATION_BYTES_MAX = 4 * MIB
CANARY_US_MAX = 5_000_000  # that the worker and the disk have, each, for what a question about their health sends
COMMITS_IN_FLIGHT_MAX = 64  # integrated batches that wait for the disk: more than ever share one commit
COMMITTING_UPDATES_MAX = 1024  # of them together: 20 ms in one commit, for which others wait
COMMITTING_MUCH_MAX = 128  # of those, of pushes of many: who comes now waits for the commits under way
INTEGRATION_US = 400_000  # processor time for a request: others wait while a loop that never ends uses it up
INTEGRATION_US_PER_KIB = 5_000  # and for each KiB of records and updates: the dearest honest text takes 1,000
INTEGRATION_AGAIN_FACTOR = 4  # times as much when it is tried again, alone: nothing is refused for a slow machine
INTEGRATION_STUCK_US_MAX = 10_000_000  # wall time in which a worker that is asked uses no processor at all
QUICK_TURN_US = 30_000  # processor time of one sender, after which what it has left goes to the slow worker
QUICK_REQUEST_BYTES_MAX = 256 * KIB  # of one request in a short turn: of the rest a sender may have to be sent away
QUICK_ITEM_BYTES_MAX = 64 * KIB  # of a record and what is sent for it; what is larger goes there at once
QUICK_STEPS_MAX = 500_000  # of placing items, at most, where these were not counted; they take 10 ms or so, if any
QUICK_JOIN_BYTES_MAX = 16 * KIB  # of two lineages of a record that become one: 10 ms
QUICK_STEP_US = 100_000  # processor time for one step of a short turn, and then it is tried there with what it may have
SLOW_TURN_US = 250_000  # processor time of one sender in the slow worker, after which another has its turn
SLOW_FOR_US = 5_000_000  # that who needed the slow worker stays with it
WORKER_MEMORY_BYTES_MAX = 1024 * MIB
WORKER_DOCUMENTS_MAX = 2048  # loaded records, about 11 kB each
WORKER_START_US_MAX = 20 * 1_000_000  # importing on a small, busy machine
WORKER_CACHE_BYTES_MAX = 16 * MIB  # encoded size of the loaded records; loaded, a record takes up to 30 times that
WORKER_LOADED_BYTES_MAX = 40 * MIB  # of memory for them, where it is known: 1,400 ordinary ones; the slow one a sixth
POISONS_REMEMBERED_MAX = 4096  # hashes of updates that killed a worker, so that sending one again costs nothing
SUSPECT_PUT_OFF_MAX = (
    1  # times that an update which used up its time waits for others: 2 s, of the 8 that a device bears
)
POISON_STRIKES_MAX = 3  # updates of one device that may kill a worker before its session ends
BAN_US_FIRST = 60 * 1_000_000  # for which a device whose updates killed workers is not let in
BAN_US_MAX = 3600 * 1_000_000  # likewise, again and again: each time twice as long
BAN_REMEMBERED_US = 24 * 3600 * 1_000_000  # after its end: the next one is twice as long
TOKEN_GUESSES_MAX = 20  # wrong tokens from one address at once: an office whose token was changed
TOKEN_GUESS_US = 3_000_000  # after which one of them is free again
ADMISSION_ENTRIES_MAX = 4096  # of each table of who was let in, sent away, or wrong: 200 bytes each
BEHIND_COUNTED_MAX = 4096  # changes that a welcome counts: 1 ms; beyond them it tells a bound
BEHIND_SIZED_MAX = 64  # records of them whose bytes it adds up: 0.5 ms; the others count as the average of these
BEHIND_BYTES_MAX = MIB // 4  # and no more of them than that, but for a record that is larger itself
FOLLOW_ENTRIES_MAX = 2048  # a follower further behind than this catches up by feed instead

# --- channels over HTTP --------------------------------------------------------------------------------------
HTTP_PART_BYTES_MAX = 256 * KIB  # of one request or answer: below the 1 MiB that proxies take by default
HTTP_PART_BYTES_MIN = 4 * KIB  # 2 s at 2 kB/s
HTTP_PART_BYTES_FIRST = 32 * KIB  # until it is known how quickly parts pass
HTTP_QUEUED_BYTES = 16 * KIB  # that wait for a session to take them, beyond one frame
HTTP_STREAM_S_MAX = 55.0  # of one streamed answer: many proxies allow a request a minute
HTTP_WAIT_S_MAX = 25  # that an answer may be waited for where nothing is streamed
HTTP_HOLD_S = 10.0  # that a part waits for room before the answer says that it was not taken
HTTP_PROBE_S = 3.0  # in which what was sent must begin to arrive, or something on the way holds answers back
HTTP_RESUME_S = 15.0  # for which a device makes a failed request again
HTTP_LINGER_S = 20.0  # without a request of its own a channel has ended: longer than a device tries
HTTP_IDLE_S = 60.0  # that a connection without a request stays open
HTTP_BODY_GRACE_S = 20.0  # that the body of a request may take beyond its time at `LINK_BYTES_PER_S_MIN`
HTTP_REQUESTS_MAX = 4  # of one channel at a time: two, and those that they take the place of
HTTP_STRANGERS_MAX = 256  # channels whose first frame has not come, or that are ending: the oldest give way
TRANSPORT_REMEMBERED_S = 3600.0  # how long HTTP is used at once where a websocket failed
WEBSOCKET_TRUSTED_S = 600.0  # how long a websocket that carried frames is not tried out again, for a round trip
WAYS_KEPT_MAX = 16  # addresses of which a device remembers that; 120 bytes each

# --- repair --------------------------------------------------------------------------------------------------
QUOTA_DAY_US = 24 * 60 * 60 * 1_000_000  # of UTC
QUOTA_OWNERS_MAX = 20_000  # sessions, and devices and users of a day, that are counted; twice what may be connected
QUOTA_RECORDS_MAX = 200_000  # records whose growth is counted, where it has a quota: about 40 MB
RATE_BURST_S = 60  # of a rate that may come at once, where nothing else is set: a day offline is a minute's worth
RATE_BURST_S_MAX = 24 * 60 * 60
STORE_FULL_RETRY_MS = 10 * 60 * 1000  # until somebody may have made room, or allowed more
HOLD_US_SHORT = 60_000_000  # a partner that takes nothing for no longer than this is waited for, by commands too
DAMAGED_BYTES_MAX = 16 * MIB  # of damaged values set aside for somebody to look at; ten records of the largest size
DAMAGED_NAMED_MAX = 1000  # damaged records that a status names: as many as verification finds
REPAIR_RECORDS = 64  # damaged records that are mended in one transaction: 64 MiB of the largest

# --- encryption at rest --------------------------------------------------------------------------------------
SCRYPT_COST = 1 << 17  # with blocks of 8: 128 MiB and half a second for each passphrase that is tried (OWASP 2025)
SCRYPT_COST_MAX = 1 << 20  # that the file of a key may ask for: 1 GiB
PASSPHRASE_LENGTH_MAX = 1024
CONVERT_BYTES = 8 * MIB  # of rows that are encrypted or decrypted in one transaction

assert TOKEN_LENGTH_MAX >= SIGNED_TOKEN_LENGTH_MAX + 256
assert TOKEN_LENGTH_MAX >= ID_TOKEN_LENGTH_MAX + 160  # a key and a signature
assert STATEMENT_BYTES_MAX >= 25 * REVOKED_DEVICES_MAX + (USER_LENGTH_MAX + 12) * REVOKED_USERS_MAX // 2
assert FRAME_BYTES_MAX >= 3 * STATEMENT_BYTES_MAX + KEYS_STATEMENTS_MAX * KIB + KIB
assert FRAME_BYTES_MAX >= RECORD_BYTES_MAX + STATE_VECTOR_BYTES_MAX + 64 * KIB
assert 4 * max(PAGE_RECORDS_MAX, PUSH_RECORDS_MAX, UPDATES_RECORDS_MAX) + 5 <= FRAME_ITEMS_MAX
assert 5 * CHECK_RECORDS_MAX + 4 <= FRAME_ITEMS_MAX
assert HELLO_BYTES_MAX >= TOKEN_LENGTH_MAX + 4 * AGENT_LENGTH_MAX + 9 * VERSIONS_MAX + 256
assert RECORD_GROWN_BYTES_MAX >= TEXT_BYTES_MAX + VALUE_BYTES_MAX
assert RETRY_AFTER_MS_MAX * 1000 >= BAN_US_MAX
assert SILENCE_US_MAX > 2 * KEEPALIVE_US
assert COMING_BYTES_MAX >= FRAME_BYTES_MAX
assert SMALL_FRAME_BYTES >= HELLO_BYTES_MAX
assert UNREAD_FRAMES_ASKED < UNREAD_FRAMES_MAX
assert HTTP_RESUME_S < HTTP_LINGER_S < SILENCE_US_MAX / 1e6
assert CLIENTS_MAX + WRITERS_ASKED_MAX < WRITERS_KNOWN_MAX
assert WORKER_CACHE_BYTES_MAX * 30 < WORKER_MEMORY_BYTES_MAX // 2
assert RECONCILE_FAN_OUT <= RECONCILE_PARTS_MAX < RECONCILE_OPEN_RANGES_MAX - RECONCILE_OPEN_RANGES_TARGET
assert RECONCILE_FAN_OUT <= RECONCILE_LEAF_RECORDS
assert BUNDLE_CHUNK_BYTES_TARGET + UPDATE_BYTES_MAX + KIB <= BUNDLE_CHUNK_BYTES_MAX <= INTEGRATION_BYTES_MAX
assert PACKED_BYTES_MAX >= RECORD_BYTES_MAX
assert BUNDLE_CHUNK_RECORDS_MAX <= INTEGRATION_UPDATES_MAX
assert BUNDLE_KNOWN_MAX * 64 + 1024 <= BUNDLE_HEADER_BYTES_MAX
assert BUNDLE_DEVICES_MAX * 112 + KIB <= BUNDLE_ENVELOPE_BYTES_MAX
assert RECONCILE_FRAME_BYTES_MIN <= FRAME_BYTES_TARGET <= FRAME_BYTES_MAX

ROWS_LOOKED_AHEAD_MAX = 500  # rows: whether a table is another list shows in its first rows
KEYS_TRIED_MAX = 8  # columns that may tell rows apart: each is tried on the whole table

# --- one owner per device ------------------------------------------------------------------------------------
OWNER_FRAME_BYTES_MAX = 8 * MIB  # of one request of another program on this machine: one record always fits
OWNER_FRAME_ITEMS_MAX = 40_000  # CBOR items of one request: a batch of an import, and more
OWNER_BATCH_BYTES_MAX = 256 * MIB  # of all edits that are to become durable together
OWNER_CLIENTS_MAX = 64  # programs that use the store of an owner at once
OWNER_LEASES_MAX = 20_000  # records that one program edits at once: a batch of an import has 500
OWNER_DIFFERENCES_MAX = 1000  # records that an audit made by the owner names: two audits fit into one answer
OWNER_EVENTS_MAX = 10_000  # changes that a program has not read yet; beyond them it is sent away and asks again
