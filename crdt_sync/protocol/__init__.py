"""The wire: messages, their strict codec, and the two ends of a session as pure state machines.

Nothing here reads a clock, draws a random number or touches a socket: `now` is an argument, input is a method
call, output is a drained list of effects, and there is one `next_timer()`.
"""

SUBPROTOCOL = "crdt-sync.v1"
