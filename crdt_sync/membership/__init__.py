"""What a device is in a space with identities: its key, its token, and what the space said as far as it heard.

facts    what is kept of it
member   the device, as it proves itself and takes what it is told
contact  when it was let in last, and for how long it may be without that
folder   where it is kept: beside the store
"""
