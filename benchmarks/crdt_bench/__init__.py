"""Measurements of the engine, and a simulator that proves it under faults. The command is `crdt-bench`."""
