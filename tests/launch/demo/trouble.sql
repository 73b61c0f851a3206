-- An accident, such as a database that was restored from an old backup: most proxies of a node are no longer known. Its
-- agent holds the list back that would stop them (the wipe guard). No call of the API does that.
DELETE FROM proxies WHERE node_id = (SELECT id FROM nodes WHERE name = 'waw-1') AND port % 8 <> 0;
