"""`maybe-node doctor`: examines the host, the local copy, the exits and the broker, and changes nothing.

`examination` runs the checks; `host`, `local_copy` and `exits` collect facts; `findings` judges them (pure).
"""
