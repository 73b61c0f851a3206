"""A wall clock that is wrong: Python imports this at its start when the folder is on PYTHONPATH.

Monotonic clocks stay right, as on a host whose time somebody has set.
"""

import os
import time

OFF_S = float(os.environ.get("CLOCK_OFF_S", "0"))
right_time, right_time_ns = time.time, time.time_ns

time.time = lambda: right_time() + OFF_S
time.time_ns = lambda: right_time_ns() + int(OFF_S * 10**9)
