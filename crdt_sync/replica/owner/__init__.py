"""One owner per device: who holds a store for long serves it to the other programs of the same user.

The others read the store themselves, beside the owner, and edit private copies; what they wrote the owner commits,
under writer ids that it lends. So any number of programs writes as one, and no session is disturbed.
"""
