"""Many sessions over one store: what a relay is, and what a device becomes while it listens.

engine       carries out the hub's effects on the store, the integration worker and the links
link         one websocket that somebody opened, as the engine sees it
places       who is connected over websockets, and who gives way
health       what has failed, and whether it works again
tails        how many updates follow each record's snapshot
uncommitted  updates that were integrated and are on their way to the disk
"""
