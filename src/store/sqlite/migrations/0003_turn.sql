-- The prompt that each working session answers. It is there from the commit that begins the turn to the one that ends
-- it, so a row that a new daemon finds is a turn that was cut off.
CREATE TABLE turn (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    message_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
