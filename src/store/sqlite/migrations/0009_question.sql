-- Questions of models to the user; `outcome` is null while one is open. `call` is the tool call.
CREATE TABLE question (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    directory TEXT NOT NULL,
    call TEXT NOT NULL,
    outcome TEXT,
    answers TEXT,
    message TEXT,
    data TEXT NOT NULL,
    UNIQUE (session_id, call)
) STRICT, WITHOUT ROWID;
CREATE INDEX question_open ON question (session_id) WHERE outcome IS NULL;
