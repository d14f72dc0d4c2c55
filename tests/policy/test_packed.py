import marshal
from pathlib import Path

import pytest

from crdt_sync.policy.packed import packed, unpacked
from crdt_sync.policy.reading import parse_policy

EXAMPLES = sorted(Path("docs/policies").glob("*/policy.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_a_policy_is_the_same_in_another_process(path):
    policy = parse_policy(path.read_text(encoding="utf-8"), path.name)
    assert unpacked(marshal.loads(marshal.dumps(packed(policy)))) == policy


def test_there_are_examples():
    assert len(EXAMPLES) == 3
