-- The audit log. Nothing refers to it and it refers to nothing: it outlives the users and projects that it names.

CREATE TABLE audit (
    record_id  INTEGER PRIMARY KEY,
    at         TEXT NOT NULL,
    user_id    TEXT,
    user_name  TEXT,
    account_id TEXT,
    project_id TEXT,
    source     TEXT NOT NULL,
    operation  TEXT NOT NULL,
    action     TEXT,
    resource   TEXT NOT NULL,
    status     INTEGER NOT NULL,
    decision   TEXT NOT NULL,
    policy     TEXT,
    reason     TEXT,
    request_id TEXT NOT NULL
) STRICT;
-- The order in which it is read: a clock that was set back puts record_id and at out of step.
CREATE INDEX audit_by_time ON audit (at, record_id);

-- What has been let go after its time: every record below kept_from, and no other.
CREATE TABLE audit_retention (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    kept_from INTEGER NOT NULL
) STRICT;
INSERT INTO audit_retention (one, kept_from) VALUES (1, 1);

-- Held here and not in the program, so that no mistake of the program's can rewrite what was written. The ids are
-- dense, so a record that was taken out by other means leaves a gap that cannot be filled again.

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: no record is changed');
END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.record_id >= (SELECT kept_from FROM audit_retention)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: this record is still to be kept');
END;

-- INSERT OR REPLACE deletes without asking the trigger above; here it fails, for its id is not the next one.
CREATE TRIGGER audit_is_dense BEFORE INSERT ON audit
WHEN NEW.record_id IS NOT max(
    coalesce((SELECT max(record_id) FROM audit), 0) + 1, (SELECT kept_from FROM audit_retention)
)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: the next record has the next id');
END;

CREATE TRIGGER audit_retention_only_moves_on BEFORE UPDATE ON audit_retention
WHEN NEW.kept_from < OLD.kept_from
    OR NEW.kept_from > coalesce((SELECT max(record_id) FROM audit), OLD.kept_from - 1) + 1
BEGIN
    SELECT RAISE(ABORT, 'the retention of the audit log only moves on, and not past its end');
END;

CREATE TRIGGER audit_retention_stays BEFORE DELETE ON audit_retention
BEGIN
    SELECT RAISE(ABORT, 'the audit log cannot forget what it has let go');
END;

CREATE TRIGGER audit_retention_is_one BEFORE INSERT ON audit_retention
BEGIN
    SELECT RAISE(ABORT, 'the audit log has one retention');
END;
