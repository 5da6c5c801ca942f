-- Wire objects are kept as JSON in `data`; what is searched or ordered by has a column of its own.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

-- The event log. `total` is the running sum of bytes, so that its size is known without a scan.
CREATE TABLE event (
    cursor INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    type TEXT NOT NULL,
    directory TEXT,
    project_id TEXT,
    session_id TEXT,
    total INTEGER NOT NULL,
    properties TEXT NOT NULL
);
CREATE INDEX event_session ON event (session_id) WHERE session_id IS NOT NULL;

CREATE TABLE session (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    checkout_id INTEGER NOT NULL,
    path TEXT NOT NULL,
    parent_id TEXT REFERENCES session (id) ON DELETE CASCADE,
    updated INTEGER NOT NULL,
    created_with TEXT NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_updated ON session (updated DESC, id DESC);
CREATE INDEX session_project ON session (project_id, updated DESC, id DESC);
CREATE INDEX session_parent ON session (parent_id) WHERE parent_id IS NOT NULL;

-- The ids of deleted sessions stay taken.
CREATE TABLE session_deleted (
    id TEXT PRIMARY KEY
) WITHOUT ROWID;

-- `open` marks an assistant message that has not ended; `params` is the digest of the prompt that made a user message.
CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    parent_id TEXT,
    open INTEGER NOT NULL DEFAULT 0,
    params TEXT,
    data TEXT NOT NULL
);
CREATE INDEX message_session ON message (session_id, seq);
CREATE INDEX message_open ON message (session_id) WHERE open;

CREATE TABLE part (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    message_id TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX part_message ON part (message_id, seq);

-- What was appended to a part since it was last written whole.
CREATE TABLE part_tail (
    part_id TEXT NOT NULL REFERENCES part (id) ON DELETE CASCADE,
    cursor INTEGER NOT NULL,
    field TEXT NOT NULL,
    delta TEXT NOT NULL,
    PRIMARY KEY (part_id, cursor)
) WITHOUT ROWID;

-- Prompts that wait for a running turn, in the order of `seq`.
CREATE TABLE queue (
    seq INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    message_id TEXT NOT NULL UNIQUE REFERENCES message (id) ON DELETE CASCADE
);
CREATE INDEX queue_session ON queue (session_id, seq);

-- Permission questions; `outcome` is null while a question is open.
CREATE TABLE permission (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    directory TEXT NOT NULL,
    call TEXT NOT NULL,
    forced INTEGER NOT NULL,
    outcome TEXT,
    message TEXT,
    data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX permission_session ON permission (session_id, call);
CREATE INDEX permission_open ON permission (project_id) WHERE outcome IS NULL;

CREATE TABLE permission_grant (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    type TEXT NOT NULL,
    pattern TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (project_id, type, pattern)
) WITHOUT ROWID;

CREATE TABLE todo (
    session_id TEXT PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    data TEXT NOT NULL
) WITHOUT ROWID;
