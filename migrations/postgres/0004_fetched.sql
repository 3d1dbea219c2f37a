-- The sealed token of a private repository, until its content has been fetched.
ALTER TABLE submissions ADD COLUMN credentials BYTEA;

-- With which a cohort's images are pulled, by registry (host, with its port if it has one).
CREATE TABLE registry_logins (
    cohort     UUID NOT NULL REFERENCES cohorts (id) ON DELETE CASCADE,
    registry   TEXT NOT NULL,
    username   TEXT NOT NULL,
    -- Sealed, see accounts::sealing.
    secret     BYTEA NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (cohort, registry)
);
