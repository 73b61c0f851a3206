"""Usage: traffic and connections of proxies, summed by hour, day or month.

`service` adds the counters that nodes report, and sums them up for requests.
"""
