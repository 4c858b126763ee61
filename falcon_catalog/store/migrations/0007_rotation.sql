-- The secret that a principal had before its last rotation is valid until previous_until.
ALTER TABLE principals ADD COLUMN previous_secret_hash TEXT;
ALTER TABLE principals ADD COLUMN previous_until INTEGER;

-- The keys that sign tokens, which name theirs as kid. One has no end: it signs new tokens. Tokens
-- of earlier versions name none: the key from then is called ''.
CREATE TABLE rotated_signing_keys (
    kid         TEXT    PRIMARY KEY,
    key         BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER
) STRICT;

INSERT INTO rotated_signing_keys (kid, key, created_at) SELECT '', key, created_at FROM signing_keys;
DROP TABLE signing_keys;
ALTER TABLE rotated_signing_keys RENAME TO signing_keys;

CREATE UNIQUE INDEX signing_keys_one_signs ON signing_keys ((expires_at IS NULL))
    WHERE expires_at IS NULL;
