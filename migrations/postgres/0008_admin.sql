-- Exercises that are being written: one row per folder, which lies in the content store.
CREATE TABLE drafts (
    slug          TEXT NOT NULL PRIMARY KEY,
    folder_sha256 TEXT NOT NULL REFERENCES contents (sha256),
    -- Grows with every change; whoever saves says which one they began with.
    revision      BIGINT NOT NULL,
    changed_at    TIMESTAMPTZ NOT NULL,
    changed_by    UUID REFERENCES people (id)
);

-- What workers do beside gradings: prove an exercise, bring one from a repository, look at their
-- engine, bring its images. Claimed with a lease, as gradings are, and after those somebody waits for.
CREATE TABLE jobs (
    id             UUID NOT NULL PRIMARY KEY,
    -- verify, import, doctor, images
    kind           TEXT NOT NULL,
    -- The exercise's slug, or the host for doctor and images.
    subject        TEXT NOT NULL,
    -- The exercise's folder that is proven.
    content_sha256 TEXT REFERENCES contents (sha256),
    -- What is asked for beyond that, JSON.
    wish           TEXT NOT NULL,
    -- The sealed token of a private repository, until it has been fetched.
    credentials    BYTEA,
    -- The only worker that may take it; NULL for any.
    worker         TEXT,
    asked_by       UUID REFERENCES people (id),
    -- queued, running, done
    state          TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    claims         BIGINT NOT NULL,
    leased_by      TEXT,
    lease_until    TIMESTAMPTZ,
    not_before     TIMESTAMPTZ NOT NULL,
    queued_at      TIMESTAMPTZ NOT NULL,
    started_at     TIMESTAMPTZ,
    finished_at    TIMESTAMPTZ,
    -- How far it is, JSON.
    progress       TEXT NOT NULL,
    -- What came of it, JSON, once done.
    outcome        TEXT,
    -- Whether that is what was hoped for.
    passed         BOOLEAN NOT NULL,
    -- Internal cause of the last fault of ours.
    fault          TEXT
);
CREATE INDEX jobs_queue ON jobs (queued_at, id) WHERE state = 'queued';
CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_of_subject ON jobs (kind, subject, queued_at);

-- Since when an exercise takes no new submissions.
ALTER TABLE exercises ADD COLUMN retired_at TIMESTAMPTZ;
-- The version that was last published out of the exercises folder. At a start the folder only speaks
-- where it has changed since.
ALTER TABLE exercises ADD COLUMN seed TEXT;
ALTER TABLE exercise_versions ADD COLUMN published_by UUID REFERENCES people (id);
-- The definition that was last published out of the exercises folder.
ALTER TABLE workshops ADD COLUMN seed TEXT;

-- What a worker last found out about its engine and machine, JSON, and when.
ALTER TABLE workers ADD COLUMN doctor TEXT;
ALTER TABLE workers ADD COLUMN doctor_at TIMESTAMPTZ;
ALTER TABLE workers ADD COLUMN images TEXT;
ALTER TABLE workers ADD COLUMN images_at TIMESTAMPTZ;
CREATE INDEX gradings_with_faults ON gradings (queued_at) WHERE fault IS NOT NULL;
