-- The whole schema as it was when PostgreSQL joined; SQLite has come to the same by its steps 1 to 4.
-- Text is ordered by its bytes (COLLATE "C"), as SQLite orders it, so that the text of instants is in the order of time.

CREATE TABLE schema_steps (
    number     INTEGER PRIMARY KEY,
    applied_at TIMESTAMPTZ NOT NULL
);

-- Many rows out of one parameter, a JSON array of arrays. By what is said here a plan takes it for short: it is gone
-- through once, and what it names is looked up row by row, however empty a table was when the plan was made.
CREATE FUNCTION rows_of(listed JSONB) RETURNS TABLE (value JSONB) LANGUAGE plpgsql IMMUTABLE ROWS 1 AS $$
BEGIN
    RETURN QUERY SELECT * FROM jsonb_array_elements(listed);
END $$;

CREATE TABLE accounts (
    account_id TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at TEXT COLLATE "C" NOT NULL
);

CREATE TABLE projects (
    project_id TEXT COLLATE "C" PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id),
    name       TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    UNIQUE (account_id, name)
);

CREATE TABLE users (
    user_id       TEXT COLLATE "C" PRIMARY KEY,
    account_id    TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id),
    name          TEXT COLLATE "C" NOT NULL,
    description   TEXT COLLATE "C",
    password_hash TEXT COLLATE "C" NOT NULL,
    administrator INTEGER NOT NULL,
    enabled       INTEGER NOT NULL,
    created_at    TEXT COLLATE "C" NOT NULL,
    UNIQUE (account_id, name)
);

CREATE TABLE access_keys (
    access_key  TEXT COLLATE "C" PRIMARY KEY,
    secret_key  TEXT COLLATE "C" NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    description TEXT COLLATE "C",
    enabled     INTEGER NOT NULL,
    created_at  TEXT COLLATE "C" NOT NULL
);
CREATE INDEX access_keys_of_user ON access_keys (user_id);

CREATE TABLE tokens (
    digest     TEXT COLLATE "C" PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    project_id TEXT COLLATE "C" REFERENCES projects (project_id),
    issued_at  TEXT COLLATE "C" NOT NULL,
    expires_at TEXT COLLATE "C" NOT NULL
);
CREATE INDEX tokens_of_user ON tokens (user_id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

CREATE TABLE server_groups (
    group_id   TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id),
    name       TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project_id, group_id)
);

CREATE TABLE servers (
    server_id  TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id),
    name       TEXT COLLATE "C" NOT NULL,
    group_id   TEXT COLLATE "C",
    endpoint   TEXT COLLATE "C" NOT NULL,
    handle     TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project_id, server_id),
    -- One machine reached under two names could be restarted by both at once.
    UNIQUE (endpoint, handle)
);
CREATE INDEX servers_of_group ON servers (project_id, group_id, server_id);

CREATE TABLE tasks (
    task_id       TEXT COLLATE "C" PRIMARY KEY,
    project_id    TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id),
    name          TEXT COLLATE "C" NOT NULL,
    task_type     TEXT COLLATE "C" NOT NULL,
    rule          TEXT COLLATE "C" NOT NULL,
    targets       TEXT COLLATE "C" NOT NULL,
    enforcement   INTEGER,
    description   TEXT COLLATE "C",
    enabled       INTEGER NOT NULL,
    anchor        TEXT COLLATE "C",
    next_fire_at  TEXT COLLATE "C",
    first_ordinal BIGINT NOT NULL,
    last_ordinal  BIGINT NOT NULL,
    created_at    TEXT COLLATE "C" NOT NULL,
    updated_at    TEXT COLLATE "C" NOT NULL,
    deleted_at    TEXT COLLATE "C"
);
CREATE INDEX tasks_due ON tasks (next_fire_at) WHERE next_fire_at IS NOT NULL;
CREATE INDEX tasks_of_project ON tasks (project_id, created_at, task_id) WHERE deleted_at IS NULL;

-- A page of history is one stretch of the key (task_id, ordinal), at any depth. Partitioned by the month of the fire, so
-- that retention drops whole partitions; the key of a partitioned table has to hold what it is partitioned by, and the
-- dense ordinals are held by the lock on the task's row.
CREATE TABLE executions (
    execution_id TEXT COLLATE "C" NOT NULL,
    task_id      TEXT COLLATE "C" NOT NULL,
    project_id   TEXT COLLATE "C" NOT NULL,
    ordinal      BIGINT NOT NULL,
    fire_at      TEXT COLLATE "C" NOT NULL,
    start_until  TEXT COLLATE "C" NOT NULL,
    task_type    TEXT COLLATE "C" NOT NULL,
    cycle        TEXT COLLATE "C" NOT NULL,
    zone         TEXT COLLATE "C" NOT NULL,
    enforcement  INTEGER NOT NULL,
    status       TEXT COLLATE "C" NOT NULL,
    total        BIGINT NOT NULL,
    succeeded    BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    running      BIGINT NOT NULL,
    began_at     TEXT COLLATE "C",
    ended_at     TEXT COLLATE "C",
    cancelled_at TEXT COLLATE "C",
    created_at   TEXT COLLATE "C" NOT NULL,
    -- A finished execution as it is said on the wire, rendered once: it never changes again.
    record       BYTEA,
    PRIMARY KEY (task_id, ordinal, fire_at),
    -- Two schedulers may both see the task due; only one of them can insert this row.
    CONSTRAINT one_execution_per_fire UNIQUE (task_id, fire_at),
    CHECK (succeeded >= 0 AND failed >= 0 AND running >= 0 AND succeeded + failed + running <= total)
) PARTITION BY RANGE (fire_at);
CREATE INDEX executions_by_id ON executions (execution_id);
CREATE INDEX executions_unfinished ON executions (execution_id) WHERE ended_at IS NULL;
CREATE INDEX executions_to_cancel ON executions (execution_id) WHERE cancelled_at IS NOT NULL AND ended_at IS NULL;
CREATE TABLE executions_others PARTITION OF executions DEFAULT;

-- Partitioned by the id of the execution, which begins with the time at which it was made (UUIDv7).
CREATE TABLE subtasks (
    execution_id   TEXT COLLATE "C" NOT NULL,
    ordinal        BIGINT NOT NULL,
    server_id      TEXT COLLATE "C" NOT NULL,
    server_name    TEXT COLLATE "C",
    endpoint       TEXT COLLATE "C",
    handle         TEXT COLLATE "C",
    status         TEXT COLLATE "C" NOT NULL,
    dispatched_at  TEXT COLLATE "C",
    began_at       TEXT COLLATE "C",
    settle_until   TEXT COLLATE "C",
    boot_marker    TEXT COLLATE "C",
    ticket         TEXT COLLATE "C",
    sends          INTEGER NOT NULL,
    attempt        TEXT COLLATE "C",
    ended_at       TEXT COLLATE "C",
    evidence       TEXT COLLATE "C",
    result_code    TEXT COLLATE "C",
    result_message TEXT COLLATE "C",
    PRIMARY KEY (execution_id, ordinal)
) PARTITION BY RANGE (execution_id);
CREATE INDEX subtasks_waiting ON subtasks (execution_id, ordinal) WHERE dispatched_at IS NULL AND ended_at IS NULL;
CREATE TABLE subtasks_others PARTITION OF subtasks DEFAULT;

-- One live action per server, across all tasks and nodes: a second one cannot be written down, so it cannot be sent.
-- A table of its own, for no index can hold this over the parts of a partitioned table.
CREATE TABLE live_actions (
    endpoint      TEXT COLLATE "C" NOT NULL,
    handle        TEXT COLLATE "C" NOT NULL,
    execution_id  TEXT COLLATE "C" NOT NULL,
    ordinal       BIGINT NOT NULL,
    dispatched_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (endpoint, handle),
    UNIQUE (execution_id, ordinal)
);

-- What the engine must know of an endpoint. Its settings and secrets are its workers' alone.
CREATE TABLE endpoints (
    name            TEXT COLLATE "C" PRIMARY KEY,
    driver          TEXT COLLATE "C" NOT NULL,
    site            TEXT COLLATE "C" NOT NULL,
    concurrency_max INTEGER NOT NULL
);

-- Who may do what: groups of users, policies and to whom they are attached; access keys that end by themselves.

CREATE TABLE user_groups (
    group_id    TEXT COLLATE "C" PRIMARY KEY,
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id),
    name        TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    created_at  TEXT COLLATE "C" NOT NULL,
    UNIQUE (account_id, name)
);

CREATE TABLE memberships (
    group_id TEXT COLLATE "C" NOT NULL REFERENCES user_groups (group_id) ON DELETE CASCADE,
    user_id  TEXT COLLATE "C" NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX members_of_group ON memberships (group_id);

CREATE TABLE policies (
    policy_id   TEXT COLLATE "C" PRIMARY KEY,
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id),
    name        TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    regional    INTEGER NOT NULL,
    document    TEXT COLLATE "C" NOT NULL,
    created_at  TEXT COLLATE "C" NOT NULL,
    updated_at  TEXT COLLATE "C" NOT NULL,
    UNIQUE (account_id, name)
);

CREATE TABLE attachments (
    -- Without a cascade: a policy that denies something must not vanish from under whom it binds.
    policy_id  TEXT COLLATE "C" REFERENCES policies (policy_id),
    predefined TEXT COLLATE "C",
    user_id    TEXT COLLATE "C" REFERENCES users (user_id) ON DELETE CASCADE,
    group_id   TEXT COLLATE "C" REFERENCES user_groups (group_id) ON DELETE CASCADE,
    project_id TEXT COLLATE "C" REFERENCES projects (project_id),
    created_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT one_policy CHECK ((policy_id IS NULL) <> (predefined IS NULL)),
    CONSTRAINT one_holder CHECK ((user_id IS NULL) <> (group_id IS NULL))
);
CREATE UNIQUE INDEX one_attachment ON attachments
    (coalesce(user_id, ''), coalesce(group_id, ''), coalesce(policy_id, predefined), coalesce(project_id, ''));
CREATE INDEX attachments_of_user ON attachments (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX attachments_of_group ON attachments (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX attachments_of_policy ON attachments (policy_id) WHERE policy_id IS NOT NULL;

ALTER TABLE access_keys ADD COLUMN security_token_digest TEXT COLLATE "C";
ALTER TABLE access_keys ADD COLUMN expires_at TEXT COLLATE "C";
CREATE INDEX access_keys_by_expiry ON access_keys (expires_at) WHERE expires_at IS NOT NULL;

-- The audit log. Nothing refers to it and it refers to nothing: it outlives the users and projects that it names.

CREATE TABLE audit (
    record_id  BIGINT PRIMARY KEY,
    at         TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C",
    user_name  TEXT COLLATE "C",
    account_id TEXT COLLATE "C",
    project_id TEXT COLLATE "C",
    source     TEXT COLLATE "C" NOT NULL,
    operation  TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C",
    resource   TEXT COLLATE "C" NOT NULL,
    status     INTEGER NOT NULL,
    decision   TEXT COLLATE "C" NOT NULL,
    policy     TEXT COLLATE "C",
    reason     TEXT COLLATE "C",
    request_id TEXT COLLATE "C" NOT NULL
);
-- The order in which it is read: a clock that was set back puts record_id and at out of step.
CREATE INDEX audit_by_time ON audit (at, record_id);

-- What has been let go after its time: every record below kept_from, and no other.
CREATE TABLE audit_retention (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    kept_from BIGINT NOT NULL
);
INSERT INTO audit_retention (one, kept_from) VALUES (1, 1);

-- Held here and not in the program, so that no mistake of the program's can rewrite what was written. The ids are
-- dense, so a record that was taken out by other means leaves a gap that cannot be filled again.

CREATE FUNCTION refuse_in_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: %', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit FOR EACH ROW
    EXECUTE FUNCTION refuse_in_audit('no record is changed');
CREATE TRIGGER audit_is_never_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT
    EXECUTE FUNCTION refuse_in_audit('it is not emptied');

CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.record_id >= (SELECT kept_from FROM audit_retention) THEN
        RAISE EXCEPTION 'the audit log is append-only: this record is still to be kept'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION keep_audit();

CREATE FUNCTION number_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.record_id <> greatest(
        coalesce((SELECT max(record_id) FROM audit), 0) + 1, (SELECT kept_from FROM audit_retention)
    ) THEN
        RAISE EXCEPTION 'the audit log is append-only: the next record has the next id'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_is_dense BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION number_audit();

CREATE FUNCTION move_audit_retention() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kept_from < OLD.kept_from
        OR NEW.kept_from > coalesce((SELECT max(record_id) FROM audit), OLD.kept_from - 1) + 1 THEN
        RAISE EXCEPTION 'the retention of the audit log only moves on, and not past its end'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_retention_only_moves_on BEFORE UPDATE ON audit_retention FOR EACH ROW
    EXECUTE FUNCTION move_audit_retention();
CREATE TRIGGER audit_retention_stays BEFORE DELETE ON audit_retention FOR EACH ROW
    EXECUTE FUNCTION refuse_in_audit('it cannot forget what it has let go');
CREATE TRIGGER audit_retention_is_one BEFORE INSERT ON audit_retention FOR EACH ROW
    EXECUTE FUNCTION refuse_in_audit('it has one retention');
