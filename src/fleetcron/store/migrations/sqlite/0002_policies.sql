-- Who may do what: groups of users, policies and to whom they are attached; access keys that end by themselves.

CREATE TABLE user_groups (
    group_id    TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL REFERENCES accounts (account_id),
    name        TEXT NOT NULL,
    description TEXT,
    created_at  TEXT NOT NULL,
    UNIQUE (account_id, name)
) STRICT;

CREATE TABLE memberships (
    group_id TEXT NOT NULL REFERENCES user_groups (group_id) ON DELETE CASCADE,
    user_id  TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_of_group ON memberships (group_id);

CREATE TABLE policies (
    policy_id   TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL REFERENCES accounts (account_id),
    name        TEXT NOT NULL,
    description TEXT,
    regional    INTEGER NOT NULL,
    document    TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    UNIQUE (account_id, name)
) STRICT;

CREATE TABLE attachments (
    -- Without a cascade: a policy that denies something must not vanish from under whom it binds.
    policy_id  TEXT REFERENCES policies (policy_id),
    predefined TEXT,
    user_id    TEXT REFERENCES users (user_id) ON DELETE CASCADE,
    group_id   TEXT REFERENCES user_groups (group_id) ON DELETE CASCADE,
    project_id TEXT REFERENCES projects (project_id),
    created_at TEXT NOT NULL,
    CONSTRAINT one_policy CHECK ((policy_id IS NULL) <> (predefined IS NULL)),
    CONSTRAINT one_holder CHECK ((user_id IS NULL) <> (group_id IS NULL))
) STRICT;
CREATE UNIQUE INDEX one_attachment ON attachments
    (coalesce(user_id, ''), coalesce(group_id, ''), coalesce(policy_id, predefined), coalesce(project_id, ''));
CREATE INDEX attachments_of_user ON attachments (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX attachments_of_group ON attachments (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX attachments_of_policy ON attachments (policy_id) WHERE policy_id IS NOT NULL;

ALTER TABLE access_keys ADD COLUMN security_token_digest TEXT;
ALTER TABLE access_keys ADD COLUMN expires_at TEXT;
CREATE INDEX access_keys_by_expiry ON access_keys (expires_at) WHERE expires_at IS NOT NULL;
