-- Sent before each use of a connection of sessions with a filter, so that no statement runs without one, or with that of
-- another token. On other connections it lasts until the transaction ends.
-- name: set
SELECT
    set_config('search_path', :search_path, :for_transaction::boolean),
    set_config('maybe.narrowed', :value, :for_transaction),
    set_config('maybe.actor', :actor, :for_transaction);
