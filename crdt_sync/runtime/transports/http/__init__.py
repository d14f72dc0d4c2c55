"""A channel over plain HTTP/1.1 requests, for networks that break websockets.

wire      targets, headers and limits of the requests
streams   frames as one stream of bytes in each direction, each byte known by its offset
accepted  the accepting end of a channel
door      ... and how its requests are served, beside websockets on one port
requests  how a device makes requests
dialed    the opening end of a channel

Rules:

1. Frames are written, each after its length in 4 bytes, to one stream of bytes in each direction. A length of
   2^32 - 1 is the end of the stream.
2. Requests carry parts of these streams and name the offset of their first byte. So a part that comes twice is applied
   once, what was lost on the way is asked for again, and nothing ever changes places.
3. Upward a device sends one part at a time, as the body of a POST with its Content-Length. The answer says how much has
   been taken, less than was sent where the relay takes no more for now.
4. Downward one GET is under way at any time. Its answer is streamed, for some seconds or until it has grown to what
   the device asked for, and begins with one byte that belongs to no frame: where this does not come through, or what
   the relay says that it has sent does not, something on the way collects answers before it passes them on. The device
   asks with a time to wait from then on: its GET is answered at once, and as a whole, when there is something to say.
5. A channel is opened by a POST that names a key of the device's own. The answer is an id that nobody guesses. The id
   stands in URLs, which proxies write to their logs; the key stands in a header of every request, and without it the
   id is worth nothing. Who comes is then proved inside the session, as over any channel.
6. Parts grow while they pass quickly and shrink where they take seconds, so that the other end goes on hearing bytes
   also where a proxy collects whole parts.
7. A channel without any request for some seconds has ended. A lost request is made again for a shorter time than that.
   A device whose session takes nothing for a while asks for nothing; it sends an empty part then, now and again.
"""
