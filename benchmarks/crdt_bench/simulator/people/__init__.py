"""Histories with people: a policy that changes, devices that prove whose they are, and a plain model of it.

`space` is what an operator has, `members` are devices of users, `watching` looks at what they are told, and `world` is
the run.
"""
