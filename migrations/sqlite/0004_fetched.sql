-- The sealed token of a private repository, until its content has been fetched.
ALTER TABLE submissions ADD COLUMN credentials BLOB;

-- With which a cohort's images are pulled, by registry (host, with its port if it has one).
CREATE TABLE registry_logins (
    cohort     BLOB NOT NULL REFERENCES cohorts (id) ON DELETE CASCADE,
    registry   TEXT NOT NULL,
    username   TEXT NOT NULL,
    -- Sealed, see accounts::sealing.
    secret     BLOB NOT NULL,
    changed_at TEXT NOT NULL,
    PRIMARY KEY (cohort, registry)
) STRICT, WITHOUT ROWID;
