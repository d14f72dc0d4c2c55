"""The deterministic simulator: the real core on a virtual clock, network and disk, under faults, from one seed.

`docs/simulator.md` explains the fault model, the checkers, and how to replay a seed.
"""
