-- Addresses that are their own permission: whoever knows the secret gets what the link is for. Of the secret only a
-- SHA-256 is kept, which is enough for one of 192 random bits.
CREATE TABLE links (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('list', 'rotate')),
    secret_hash text NOT NULL CONSTRAINT links_secret_hash_key UNIQUE,
    filter jsonb NOT NULL CHECK (jsonb_typeof(filter) = 'object'),
    rotate jsonb,
    format text NOT NULL,
    template text,
    min_interval_s integer NOT NULL CHECK (min_interval_s >= 0),
    expires_at timestamptz,
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'rotate') = (rotate IS NOT NULL))
) WITH (fillfactor = 80);
