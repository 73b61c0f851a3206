-- Sent before each use of a connection, so that no statement runs without a filter, or with that of another token.
-- name: set
SELECT set_config('search_path', :search_path, false), set_config('maybe.narrowed', :value, false);
