-- Projects: a repository with all its checkouts, or a directory outside git.
CREATE TABLE project (
    id TEXT NOT NULL PRIMARY KEY,
    worktree TEXT NOT NULL,
    vcs TEXT CHECK (vcs = 'git'),
    name TEXT,
    -- Sessions may refer to it; before that it was only read.
    claimed INTEGER NOT NULL DEFAULT 0,
    trusted INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    initialized INTEGER
) STRICT;

CREATE INDEX project_by_use ON project (updated DESC, id DESC);

-- Where a project was last seen: its common git directory, or the directory itself outside git.
-- A project without a place has had it taken by another one.
CREATE TABLE project_place (
    project_id TEXT NOT NULL PRIMARY KEY REFERENCES project (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('git', 'plain')),
    path TEXT NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    born INTEGER,
    -- What the id file said when it was decided that this place is this project.
    file_id TEXT,
    UNIQUE (kind, path)
) STRICT;

CREATE INDEX project_place_by_inode ON project_place (inode) WHERE kind = 'git';

-- The checkouts of a project; sessions refer to one of them and a path inside it.
-- The ids are never given again, so that a session never finds itself in a checkout that it was not made for.
CREATE TABLE project_checkout (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    -- 'main', 'linked:NAME' or 'path:PATH'; empty once another worktree of the same name has taken its place.
    key TEXT,
    path TEXT NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    born INTEGER,
    UNIQUE (project_id, key)
) STRICT;

CREATE INDEX project_checkout_by_path ON project_checkout (path);

-- The files that count, as the user has seen and trusted them. One path may be trusted in several contents,
-- since the worktrees of a project differ.
CREATE TABLE project_trust (
    project_id TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (project_id, path, digest)
) STRICT, WITHOUT ROWID;
