"""Who somebody is, proved: keys of spaces and devices, what a space says to its devices, tokens, proofs, invites.

Pure: opens no file and no socket, draws nothing at random, knows the time only as it is given, in microseconds since
1970. All bytes and texts from elsewhere are checked here, and refused with `IdentityRefused`, whose reasons are in
`refusals`; links that people paste, with `InvalidInvite`.
"""
