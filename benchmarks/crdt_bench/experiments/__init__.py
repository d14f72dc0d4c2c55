"""The experiments: each takes its sizes, runs, and returns measurements."""
