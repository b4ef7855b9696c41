-- What many machines need, kept alike in both databases.

ALTER TABLE subtasks ADD COLUMN attempt TEXT;
ALTER TABLE executions ADD COLUMN cancelled_at TEXT;
CREATE INDEX executions_to_cancel ON executions (execution_id) WHERE cancelled_at IS NOT NULL AND ended_at IS NULL;

-- One live action per server, across all tasks and nodes: a second one cannot be written down, so it cannot be sent.
-- A table of its own, for PostgreSQL cannot hold such an index over the parts of a partitioned one.
CREATE TABLE live_actions (
    endpoint      TEXT NOT NULL,
    handle        TEXT NOT NULL,
    execution_id  TEXT NOT NULL,
    ordinal       INTEGER NOT NULL,
    dispatched_at TEXT NOT NULL,
    PRIMARY KEY (endpoint, handle),
    UNIQUE (execution_id, ordinal)
) STRICT, WITHOUT ROWID;
INSERT INTO live_actions (endpoint, handle, execution_id, ordinal, dispatched_at)
    SELECT endpoint, handle, execution_id, ordinal, dispatched_at FROM subtasks
    WHERE dispatched_at IS NOT NULL AND ended_at IS NULL;
DROP INDEX one_live_action_per_server;

-- What the engine must know of an endpoint. Its settings and secrets are its workers' alone.
CREATE TABLE endpoints (
    name            TEXT PRIMARY KEY,
    driver          TEXT NOT NULL,
    site            TEXT NOT NULL,
    concurrency_max INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
