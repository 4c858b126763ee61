-- Logins of browsers to the web pages, by the SHA-256 of what their cookie holds. member_of has the
-- groups of an identity provider, as JSON. token is the name that the token of the login would have
-- among the revoked ones; empty if it was another proof.
CREATE TABLE web_sessions (
    id_hash       TEXT    PRIMARY KEY,
    principal_id  INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    via           TEXT    NOT NULL,
    member_of     TEXT    NOT NULL,
    token         TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX web_sessions_principal ON web_sessions (principal_id);
CREATE INDEX web_sessions_end ON web_sessions (expires_at);

-- Login links that were not used yet, by the SHA-256 of their code. uid is the user of the machine
-- who made it with a command on the store.
CREATE TABLE login_codes (
    code_hash   TEXT    PRIMARY KEY,
    uid         INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
