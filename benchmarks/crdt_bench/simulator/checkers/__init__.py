"""The checkers: what must hold at every moment, and what must hold once all is quiet."""
