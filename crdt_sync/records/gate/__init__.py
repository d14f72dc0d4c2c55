"""The gate: what of another party's updates may go into a record, and why not."""
