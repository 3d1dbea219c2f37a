-- From where somebody is signed in, for themselves to look at.
ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';
-- When the session was last used, as far as it was written down; NULL until then.
ALTER TABLE sessions ADD COLUMN seen_at TEXT;

-- Links with which somebody chooses a new password, once. The newest of a person is the only one.
CREATE TABLE password_resets (
    person     BLOB NOT NULL PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    token_hash BLOB NOT NULL CONSTRAINT password_resets_token_hash UNIQUE,
    made_by    BLOB NOT NULL REFERENCES people (id),
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who somebody is at an OpenID provider.
CREATE TABLE identities (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    person     BLOB NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_of_person ON identities (person);

-- Into which cohorts the members of a provider's group come.
CREATE TABLE openid_groups (
    name   TEXT NOT NULL,
    cohort BLOB NOT NULL REFERENCES cohorts (id) ON DELETE CASCADE,
    role   TEXT NOT NULL,
    PRIMARY KEY (name, cohort)
) STRICT, WITHOUT ROWID;
-- Whether a membership came from such a group, and goes with it.
ALTER TABLE members ADD COLUMN by_group INTEGER NOT NULL DEFAULT 0;

-- Hints that students asked for; the first of a check comes by itself and has no row.
CREATE TABLE hints (
    cohort     BLOB NOT NULL,
    person     BLOB NOT NULL,
    exercise   TEXT NOT NULL,
    check_id   TEXT NOT NULL,
    -- 2, 3, … in the exercise's order.
    hint       INTEGER NOT NULL,
    submission BLOB NOT NULL REFERENCES submissions (id),
    taken_at   TEXT NOT NULL,
    PRIMARY KEY (cohort, person, exercise, check_id, hint)
) STRICT, WITHOUT ROWID;
