-- What holds for handing in, JSON: of a cohort, and of an exercise where it has terms of its own.
CREATE TABLE terms (
    cohort     UUID NOT NULL REFERENCES cohorts (id) ON DELETE CASCADE,
    -- Empty for what holds for the whole cohort.
    exercise   TEXT NOT NULL,
    terms      TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (cohort, exercise)
);

-- How late the submission was that counts, and per cent of its points that are left.
ALTER TABLE cells ADD COLUMN late_days BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cells ADD COLUMN kept_percent BIGINT NOT NULL DEFAULT 100;

-- The outcome of each check that did not pass, JSON, so that who fails what is read without reports.
ALTER TABLE gradings ADD COLUMN missed TEXT NOT NULL DEFAULT '{}';

-- What trainers decided about checks against the machine. Rows are only added: the newest of a
-- submission and check counts, and one without an outcome takes back those before it.
CREATE TABLE overrides (
    id         UUID NOT NULL PRIMARY KEY,
    submission UUID NOT NULL REFERENCES submissions (id),
    check_id   TEXT NOT NULL,
    person     UUID NOT NULL REFERENCES people (id),
    -- passed, failed, or NULL: as the machine judged.
    outcome    TEXT,
    reason     TEXT NOT NULL,
    decided_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX overrides_of_submission ON overrides (submission, check_id, decided_at);

-- What trainers wrote to a student about a submission.
CREATE TABLE comments (
    id         UUID NOT NULL PRIMARY KEY,
    submission UUID NOT NULL REFERENCES submissions (id),
    person     UUID NOT NULL REFERENCES people (id),
    text       TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX comments_of_submission ON comments (submission, written_at);

-- Gradings that a trainer asked for together.
CREATE TABLE regrades (
    id       UUID NOT NULL PRIMARY KEY,
    cohort   UUID NOT NULL REFERENCES cohorts (id) ON DELETE CASCADE,
    person   UUID NOT NULL REFERENCES people (id),
    -- NULL for every exercise.
    exercise TEXT,
    asked_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX regrades_of_cohort ON regrades (cohort, asked_at);

CREATE TABLE regraded (
    regrade    UUID NOT NULL REFERENCES regrades (id) ON DELETE CASCADE,
    submission UUID NOT NULL REFERENCES submissions (id),
    -- What counted before: verdict and points as they were then.
    verdict         TEXT,
    points_earned   BIGINT NOT NULL,
    points_possible BIGINT NOT NULL,
    -- The grading that was queued.
    grading    UUID NOT NULL,
    PRIMARY KEY (regrade, submission)
);
