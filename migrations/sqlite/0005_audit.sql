-- Who changed what of the house: exercises, cohorts, people, marks. Rows are only added.
CREATE TABLE audit (
    id      BLOB NOT NULL PRIMARY KEY,
    at      TEXT NOT NULL,
    -- Who did it; NULL for the command line.
    person  BLOB REFERENCES people (id),
    -- <thing>.<what was done>, as in `check.overridden`.
    action  TEXT NOT NULL,
    -- The cohort it belongs to, where it belongs to one.
    cohort  BLOB REFERENCES cohorts (id) ON DELETE SET NULL,
    -- What it was done to, in words for a reader.
    subject TEXT NOT NULL,
    -- What was changed, JSON: names of values and their new values. Never a secret.
    details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_cohort ON audit (cohort, id);
CREATE INDEX audit_of_person ON audit (person, id);
