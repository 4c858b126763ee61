-- The folders outside of a table's own that its properties send writers to, such as
-- write.data.path. They follow a dropped table. Metadata is in files, so the folders of tables that
-- are older than this are recorded with their next commit, or by a repair of the doctor.
CREATE TABLE paths (
    id            INTEGER PRIMARY KEY,
    tabular_id    INTEGER REFERENCES tabulars (id) ON DELETE CASCADE,
    dropped_id    INTEGER REFERENCES dropped_tabulars (id) ON DELETE CASCADE,
    location_key  TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX paths_tabular ON paths (tabular_id, location_key)
    WHERE tabular_id IS NOT NULL;
CREATE UNIQUE INDEX paths_dropped ON paths (dropped_id, location_key)
    WHERE dropped_id IS NOT NULL;
CREATE INDEX paths_location ON paths (location_key);
