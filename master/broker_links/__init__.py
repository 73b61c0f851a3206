"""Links to the broker: where masters and nodes reach it, and the connections of this master to each that is in use.

`links` decides which links count, `connections` keeps this master connected to them, `brokers` applies changes of
logins to all of them, and `trial` tries a new one.
"""
