-- Grants that hold in one root session and its descendants.
CREATE TABLE session_grant (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    type TEXT NOT NULL,
    pattern TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (session_id, type, pattern)
) STRICT, WITHOUT ROWID;
