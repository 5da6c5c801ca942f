-- What the user decided about the changes of a session, in the order of the decisions. `told` is the prompt with which the
-- model was told.
CREATE TABLE review (
    seq INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    told TEXT,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX review_session ON review (session_id, seq);
-- The parts that say what a session changed are found without reading its conversation.
CREATE INDEX part_patch ON part (session_id, seq) WHERE substr(data, 1, 15) = '{"type":"patch"';
