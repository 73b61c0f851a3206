"""Invitations: nodes that enrol themselves.

`routes`, `service` and `schemas` have the resource; `announcements` judges what waiting nodes announce, by `limits`,
and has them enrolled; `master.distribution.downloads` serves POST /announce.
"""
