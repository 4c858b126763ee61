-- Folders of staged tables, which have no row yet. Until expires_at they are reserved for the principal
-- that staged the table. If it is removed they stay closed to all: credentials for the files are still
-- valid. namespace_id is set for a folder that properties of the table name: principals with write on
-- that namespace may share it.
CREATE TABLE reservations (
    id            INTEGER PRIMARY KEY,
    location_key  TEXT    NOT NULL,
    principal_id  INTEGER REFERENCES principals (id) ON DELETE SET NULL,
    namespace_id  INTEGER REFERENCES namespaces (id) ON DELETE SET NULL,
    expires_at    INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX reservations_location ON reservations (location_key, principal_id);
CREATE INDEX reservations_principal ON reservations (principal_id);
CREATE INDEX reservations_namespace ON reservations (namespace_id);
CREATE INDEX reservations_end ON reservations (expires_at);
