"""What many policies of tests grant alike."""


def keeps_schemas(role: str) -> str:
    """A grant by which a role may say what fields there are: without it no collection can be shared."""
    return f"""
[[role.{role}.grant]]
collection = "crdt-sync-schemas"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]
"""
