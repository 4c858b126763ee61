-- Who may call. The secret is stored as a salted hash; an id is never given twice, so that a
-- token of somebody who was removed never fits somebody who got the name later.
CREATE TABLE principals (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL UNIQUE,
    secret_hash  TEXT    NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;

-- The key that signs tokens: one row, drawn once.
CREATE TABLE signing_keys (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    key         BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
