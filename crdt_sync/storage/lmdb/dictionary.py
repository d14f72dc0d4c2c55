"""What records have in common, for packing: what is like a part of it takes a few bytes in a packed value.

It is part of the store's format: packed values cannot be read with another one. So it is written out here, and follows
neither the schema that ships nor the layout of documents. What occurs most stands last.
"""

_FIELDS = (
    "id type title first_name last_name mobile fax status state category comment description date customer_id "
    "contact_name language currency credit_limit birthday customer_since last_contact newsletter employees calls "
    "timeline parent source stage owner amount visits phones emails region country postal_code city address website "
    "email phone company name tags notes"
)
_NAMES = [name.encode("ascii") for name in _FIELDS.split()]
_WORDS = (
    "the and of to in for with from new order offer call visit invoice contract meeting delivery GmbH Street straße "
    "Berlin Germany Deutschland true false Yes No https://www..com@gmail.com +49 "
)
_VIEW_END = b'"},"conflicts":[],"deleted":false,"sources":[["import'
_SPARSE = b'(\x01\x06s.tags\x1a"\n\x01w\x07\x01\x08n.visits\x10\x01|A\x00\x00\x00\x04\x01\x07t.notes\xfb'
_SOURCE = b'\x08\x01\tc._source\x01u\x04w\x80\x02{"":["'
_VIEW_START = b'{"fields":{"name":"'
_ENTRY_END = b"|\x00\x00\x00\x00w\x05"
_STAMP = b"{C\x19"


def _entry(name: bytes) -> bytes:
    """How an update begins the entry of a field."""
    return b"\x08\x01%cc.%b\x01u\x03w\n" % (len(name) + 2, name)


DICTIONARY = b"".join(
    (
        _WORDS.encode(),
        _VIEW_END,
        _SPARSE,
        _SOURCE,
        b'","'.join(name + b'":"' for name in _NAMES),
        _VIEW_START,
        _ENTRY_END.join(map(_entry, _NAMES)),
        _STAMP,
    )
)
