"""What all routes share.

`requests` checks and reads requests, `responses` and `encoding` write answers, `problems` writes errors. `dependencies`
provides what handlers name in their signatures, `writes` what writes share, and `dry_run` writes that are rolled back.
`names` resolves names to ids. `openapi` makes the document and its pages; `middleware` logs and counts requests.
"""
