"""One channel, many wires: what carries the frames of a session, and nothing of what they say.

channel    the port that sessions use, and the rules that every transport keeps
websocket  ... over a websocket
memory     ... within one process
arrivals   how many bytes of the next frame have come on a websocket
"""
