"""Who may hold what, tried: random policies, people, moves and failures against a plain model of both.

`world` makes a history and carries it out with the shipped core, `oracle` says what is allowed, and `mutants` are bugs
that it has to notice.
"""
