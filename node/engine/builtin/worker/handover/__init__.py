"""Moves proxies and live connections from one worker process to the next, without closing them.

`state` decides what a worker does at a time. `giver` is the old worker's part, `taker` the new one's; they talk over a
`channel`. `connections` packs a connection and restores it; `leftovers` moves later what could not be moved at first.
"""
