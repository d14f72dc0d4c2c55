"""On which line something stands."""

import pytest

from crdt_sync.policy.places import Places

TEXT = """# a remark with [role.none] in it
[[role.sales.grant]]
collection = "customers"   # read = ["x"]
read = [
  "name", # ]
  "phone",
]
where = '''
[user.fake]
write = ["y"]'''

[[role.sales.grant]]
write = ["a"]
mask = { iban = "last4",
  phone = "phone" }
[role.lead]
grant = []
[user]
"Dr. \\"W\\" [x]".role = "lead"
anna = { role = "sales" }
[user.'ben = 1']
attributes.region = "a"
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("role", "sales"), 2),
        (("role", "sales", "grant", 0), 2),
        (("role", "sales", "grant", 0, "collection"), 3),
        (("role", "sales", "grant", 0, "read"), 4),
        (("role", "sales", "grant", 0, "where"), 8),
        (("role", "sales", "grant", 0, "write"), 2),
        (("role", "sales", "grant", 1), 12),
        (("role", "sales", "grant", 1, "write"), 13),
        (("role", "sales", "grant", 1, "mask", "phone"), 14),
        (("role", "lead", "grant", 0), 17),
        (("user", 'Dr. "W" [x]', "role"), 19),
        (("user", "anna", "role"), 20),
        (("user", "ben = 1"), 21),
        (("user", "ben = 1", "attributes", "region"), 22),
        (("user", "fake"), 18),
        (("nothing",), 0),
        ((), 0),
    ],
)
def test_a_setting_is_found_on_its_line_or_on_that_of_what_is_around_it(path, line):
    assert Places(TEXT).line(*path) == line
    assert Places(TEXT.replace("\n", "\r\n")).line(*path) == line
