"""The audit log: what an entry says, how entries are chained, signed checkpoints, and what verification finds. Pure.

Where it is kept is the affair of a store (`storage`), and who writes it that of a host (`runtime/hosting/recorder.py`).
Attackers and what is found of their work: docs/security.md.
"""
