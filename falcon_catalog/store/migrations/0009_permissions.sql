-- Who may do what. Users, services and roles are principals and share one name space. A user of an
-- identity provider has an issuer (by its name in the settings) and a subject, and no secret.
ALTER TABLE principals ADD COLUMN kind TEXT NOT NULL DEFAULT 'service'
    CHECK (kind IN ('user', 'service', 'role'));
ALTER TABLE principals ADD COLUMN issuer TEXT;
ALTER TABLE principals ADD COLUMN subject TEXT;
ALTER TABLE principals ADD COLUMN display_name TEXT;
ALTER TABLE principals ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE principals ADD COLUMN created_by TEXT;
-- Tokens of sessions that began before this time, in seconds, are revoked.
ALTER TABLE principals ADD COLUMN sessions_since INTEGER NOT NULL DEFAULT 0;

CREATE UNIQUE INDEX principals_subject ON principals (issuer, subject);

-- Single tokens that were revoked, until they would have expired.
CREATE TABLE revoked_tokens (
    jti         TEXT    PRIMARY KEY,
    expires_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE role_members (
    role_id    INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    member_id  INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, member_id)
) STRICT;

CREATE INDEX role_members_member ON role_members (member_id);

-- The groups of an identity provider, and the roles that their members have.
CREATE TABLE group_roles (
    issuer   TEXT    NOT NULL,
    value    TEXT    NOT NULL,
    role_id  INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    PRIMARY KEY (issuer, value, role_id)
) STRICT;

CREATE INDEX group_roles_role ON group_roles (role_id);

-- One row for a principal on an entity, which is the server if no other one is named. A dropped
-- table keeps its grants. bits is a sum of privileges (catalog.privileges).
CREATE TABLE grants (
    id            INTEGER PRIMARY KEY,
    principal_id  INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    warehouse_id  INTEGER REFERENCES warehouses (id) ON DELETE CASCADE,
    namespace_id  INTEGER REFERENCES namespaces (id) ON DELETE CASCADE,
    tabular_id    INTEGER REFERENCES tabulars (id) ON DELETE CASCADE,
    function_id   INTEGER REFERENCES functions (id) ON DELETE CASCADE,
    dropped_id    INTEGER REFERENCES dropped_tabulars (id) ON DELETE CASCADE,
    bits          INTEGER NOT NULL,
    granted_by    TEXT    NOT NULL,
    granted_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX grants_principal ON grants (principal_id);
CREATE UNIQUE INDEX grants_server ON grants (principal_id)
    WHERE warehouse_id IS NULL AND namespace_id IS NULL AND tabular_id IS NULL
        AND function_id IS NULL AND dropped_id IS NULL;
CREATE UNIQUE INDEX grants_warehouse ON grants (warehouse_id, principal_id)
    WHERE warehouse_id IS NOT NULL;
CREATE UNIQUE INDEX grants_namespace ON grants (namespace_id, principal_id)
    WHERE namespace_id IS NOT NULL;
CREATE UNIQUE INDEX grants_tabular ON grants (tabular_id, principal_id)
    WHERE tabular_id IS NOT NULL;
CREATE UNIQUE INDEX grants_function ON grants (function_id, principal_id)
    WHERE function_id IS NOT NULL;
CREATE UNIQUE INDEX grants_dropped ON grants (dropped_id, principal_id)
    WHERE dropped_id IS NOT NULL;

-- Changes with everything that decides what a principal may do; every request compares it.
CREATE TABLE permissions (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    generation  INTEGER NOT NULL,
    read_only   INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO permissions (id, generation) VALUES (1, now_ms());

-- managed: owners of what is inside may not grant. protected: no drop. read_only: no change.
ALTER TABLE warehouses ADD COLUMN managed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE warehouses ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespaces ADD COLUMN managed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespaces ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tabulars ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dropped_tabulars ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;

-- Until now each principal could do everything: those that exist own the server (128 + 256).
INSERT INTO grants (principal_id, bits, granted_by, granted_at)
    SELECT id, 384, 'migration', now_ms() FROM principals;

-- The role that every principal has. Its name was free for anyone before.
UPDATE principals SET name = 'everyone-' || id WHERE name = 'everyone';
INSERT INTO principals (name, secret_hash, created_at, kind)
    VALUES ('everyone', '', now_ms(), 'role');
