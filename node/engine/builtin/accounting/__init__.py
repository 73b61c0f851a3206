"""Usage counters of proxies, kept in a ledger on disk that survives the worker.

`account` counts for one proxy; `ledger` stores its figures, as lines (`ledger_entry`) in a file of each worker
(`ledger_file`), and finds the newest line of a proxy in the files of all workers (`ledger_index`).
"""
