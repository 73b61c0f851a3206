"""Name resolution that never blocks the reactor, shared fairly among proxies.

`resolver` is the interface: a cache in front of the system's resolver, which runs in `threads`; `lookup_queue` decides
which lookup is started next.
"""
