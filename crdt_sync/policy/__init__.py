"""Who may see and do what: one text per space, the same decisions on every device. Pure; it knows nothing of records.

Where to begin reading: `model` (what a policy says), `reading` (from its text), `rights` (what one user may), `cells`
(the same as places in an index), `index` (who is to hear of a change), `holdings` (which records somebody may hold),
`explaining`, `differences` (between two policies), `checking` (against schemas).
"""
