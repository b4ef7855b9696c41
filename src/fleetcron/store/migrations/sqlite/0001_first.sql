-- The first schema. What is SQLite's own: STRICT and WITHOUT ROWID (PostgreSQL has neither and needs neither).
-- Everything else is the common subset, partial indexes included.

CREATE TABLE accounts (
    account_id TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE projects (
    project_id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (account_id),
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (account_id, name)
) STRICT;

CREATE TABLE users (
    user_id       TEXT PRIMARY KEY,
    account_id    TEXT NOT NULL REFERENCES accounts (account_id),
    name          TEXT NOT NULL,
    description   TEXT,
    password_hash TEXT NOT NULL,
    administrator INTEGER NOT NULL,
    enabled       INTEGER NOT NULL,
    created_at    TEXT NOT NULL,
    UNIQUE (account_id, name)
) STRICT;

CREATE TABLE access_keys (
    access_key  TEXT PRIMARY KEY,
    secret_key  TEXT NOT NULL,
    user_id     TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    description TEXT,
    enabled     INTEGER NOT NULL,
    created_at  TEXT NOT NULL
) STRICT;
CREATE INDEX access_keys_of_user ON access_keys (user_id);

CREATE TABLE tokens (
    digest     TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    project_id TEXT REFERENCES projects (project_id),
    issued_at  TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX tokens_of_user ON tokens (user_id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

CREATE TABLE server_groups (
    group_id   TEXT NOT NULL,
    project_id TEXT NOT NULL REFERENCES projects (project_id),
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (project_id, group_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE servers (
    server_id  TEXT NOT NULL,
    project_id TEXT NOT NULL REFERENCES projects (project_id),
    name       TEXT NOT NULL,
    group_id   TEXT,
    endpoint   TEXT NOT NULL,
    handle     TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (project_id, server_id),
    -- One machine reached under two names could be restarted by both at once.
    UNIQUE (endpoint, handle)
) STRICT, WITHOUT ROWID;
CREATE INDEX servers_of_group ON servers (project_id, group_id, server_id);

CREATE TABLE tasks (
    task_id       TEXT PRIMARY KEY,
    project_id    TEXT NOT NULL REFERENCES projects (project_id),
    name          TEXT NOT NULL,
    task_type     TEXT NOT NULL,
    rule          TEXT NOT NULL,
    targets       TEXT NOT NULL,
    enforcement   INTEGER,
    description   TEXT,
    enabled       INTEGER NOT NULL,
    anchor        TEXT,
    next_fire_at  TEXT,
    first_ordinal INTEGER NOT NULL,
    last_ordinal  INTEGER NOT NULL,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    deleted_at    TEXT
) STRICT;
CREATE INDEX tasks_due ON tasks (next_fire_at) WHERE next_fire_at IS NOT NULL;
CREATE INDEX tasks_of_project ON tasks (project_id, created_at, task_id) WHERE deleted_at IS NULL;

-- Clustered by (task_id, ordinal): a page of history is one stretch of the tree, at any depth.
CREATE TABLE executions (
    execution_id TEXT NOT NULL,
    task_id      TEXT NOT NULL,
    project_id   TEXT NOT NULL,
    ordinal      INTEGER NOT NULL,
    fire_at      TEXT NOT NULL,
    start_until  TEXT NOT NULL,
    task_type    TEXT NOT NULL,
    cycle        TEXT NOT NULL,
    zone         TEXT NOT NULL,
    enforcement  INTEGER NOT NULL,
    status       TEXT NOT NULL,
    total        INTEGER NOT NULL,
    succeeded    INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    running      INTEGER NOT NULL,
    began_at     TEXT,
    ended_at     TEXT,
    created_at   TEXT NOT NULL,
    -- A finished execution as it is said on the wire, rendered once: it never changes again.
    record       BLOB,
    PRIMARY KEY (task_id, ordinal),
    -- Two schedulers may both see the task due; only one of them can insert this row.
    CONSTRAINT one_execution_per_fire UNIQUE (task_id, fire_at),
    UNIQUE (execution_id),
    CHECK (succeeded >= 0 AND failed >= 0 AND running >= 0 AND succeeded + failed + running <= total)
) STRICT, WITHOUT ROWID;

CREATE TABLE subtasks (
    execution_id   TEXT NOT NULL,
    ordinal        INTEGER NOT NULL,
    server_id      TEXT NOT NULL,
    server_name    TEXT,
    endpoint       TEXT,
    handle         TEXT,
    status         TEXT NOT NULL,
    dispatched_at  TEXT,
    began_at       TEXT,
    settle_until   TEXT,
    boot_marker    TEXT,
    ticket         TEXT,
    sends          INTEGER NOT NULL,
    ended_at       TEXT,
    evidence       TEXT,
    result_code    TEXT,
    result_message TEXT,
    PRIMARY KEY (execution_id, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX subtasks_waiting ON subtasks (execution_id, ordinal) WHERE dispatched_at IS NULL AND ended_at IS NULL;
-- One live action per server, across all tasks and nodes: a second one cannot be written down, so it cannot be sent.
CREATE UNIQUE INDEX one_live_action_per_server ON subtasks (endpoint, handle)
    WHERE dispatched_at IS NOT NULL AND ended_at IS NULL;
