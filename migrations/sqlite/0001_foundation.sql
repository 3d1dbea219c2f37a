-- Identifiers are UUIDs of version 7 (BLOB), times are RFC 3339 in UTC with microseconds (TEXT, so
-- that they sort as text), booleans are 0 and 1, structured values are JSON as TEXT.
-- Constraints are named <table>_<column>: the store turns the names into errors of its own.

CREATE TABLE people (
    id             BLOB NOT NULL PRIMARY KEY,
    name           TEXT NOT NULL,
    -- The name as it is compared: lower case, see accounts::name_key.
    name_key       TEXT NOT NULL CONSTRAINT people_name_key UNIQUE,
    password_hash  TEXT NOT NULL,
    admin          INTEGER NOT NULL,
    created_at     TEXT NOT NULL,
    deactivated_at TEXT
) STRICT;

CREATE TABLE sessions (
    token_hash BLOB NOT NULL PRIMARY KEY,
    person     BLOB NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    csrf       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_person ON sessions (person);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE api_tokens (
    id         BLOB NOT NULL PRIMARY KEY,
    person     BLOB NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    token_hash BLOB NOT NULL CONSTRAINT api_tokens_token_hash UNIQUE,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX api_tokens_of_person ON api_tokens (person);

-- Failed sign-ins by key. The key is the SHA-256 of a name or of an address, so that whatever was
-- typed fits and no list of tried names lies about.
CREATE TABLE sign_in_failures (
    key            BLOB NOT NULL PRIMARY KEY,
    failures       INTEGER NOT NULL,
    last_failed_at TEXT NOT NULL,
    blocked_until  TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_failures_by_age ON sign_in_failures (last_failed_at);

CREATE TABLE cohorts (
    id         BLOB NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    workshop   TEXT NOT NULL,
    join_code  TEXT NOT NULL CONSTRAINT cohorts_join_code UNIQUE,
    created_at TEXT NOT NULL,
    closed_at  TEXT,
    -- Grows with every change of one of the cohort's cells, in the order they are committed.
    revision   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE members (
    cohort    BLOB NOT NULL REFERENCES cohorts (id) ON DELETE CASCADE,
    person    BLOB NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    role      TEXT NOT NULL,
    joined_at TEXT NOT NULL,
    PRIMARY KEY (cohort, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_person ON members (person);

-- What lies in the content store. A row is written after the object it names.
CREATE TABLE contents (
    sha256     TEXT NOT NULL PRIMARY KEY,
    bytes      INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE exercise_versions (
    slug          TEXT NOT NULL,
    version       TEXT NOT NULL,
    title         TEXT NOT NULL,
    folder_sha256 TEXT NOT NULL REFERENCES contents (sha256),
    published_at  TEXT NOT NULL,
    PRIMARY KEY (slug, version)
) STRICT;

-- The version that is handed out now.
CREATE TABLE exercises (
    slug    TEXT NOT NULL PRIMARY KEY,
    version TEXT NOT NULL,
    FOREIGN KEY (slug, version) REFERENCES exercise_versions (slug, version)
) STRICT;

CREATE TABLE workshops (
    slug         TEXT NOT NULL PRIMARY KEY,
    definition   TEXT NOT NULL,
    published_at TEXT NOT NULL
) STRICT;

CREATE TABLE submissions (
    id               BLOB NOT NULL PRIMARY KEY,
    person           BLOB NOT NULL,
    cohort           BLOB NOT NULL,
    exercise         TEXT NOT NULL,
    exercise_version TEXT NOT NULL,
    -- 1, 2, … per person, cohort and exercise.
    number           INTEGER NOT NULL,
    source           TEXT NOT NULL,
    content_sha256   TEXT REFERENCES contents (sha256),
    files            INTEGER NOT NULL,
    bytes            INTEGER NOT NULL,
    answers          TEXT NOT NULL,
    created_at       TEXT NOT NULL,
    -- Chosen by the sender, so that a request sent twice counts once.
    idempotency_key  TEXT,
    CONSTRAINT submissions_number UNIQUE (cohort, person, exercise, number),
    CONSTRAINT submissions_idempotency_key UNIQUE (person, idempotency_key),
    FOREIGN KEY (cohort, person) REFERENCES members (cohort, person),
    FOREIGN KEY (exercise, exercise_version) REFERENCES exercise_versions (slug, version)
) STRICT;

CREATE TABLE gradings (
    id               BLOB NOT NULL PRIMARY KEY,
    submission       BLOB NOT NULL REFERENCES submissions (id),
    -- The submission's person, repeated because the queue is fair between people.
    person           BLOB NOT NULL,
    exercise_version TEXT NOT NULL,
    -- queued, running, done
    state            TEXT NOT NULL,
    -- 0 interactive, 1 regrade
    lane             INTEGER NOT NULL,
    -- How many unfinished gradings of the same person and lane come before this one. The queue is
    -- ordered by it, so that everyone's first comes before anyone's second.
    turn             INTEGER NOT NULL,
    -- Attempts that count: claims less those that were given back untouched.
    attempt          INTEGER NOT NULL,
    -- Every claim, never taken back: tells a lease from an older one of the same worker.
    claims           INTEGER NOT NULL,
    leased_by        TEXT,
    lease_until      TEXT,
    not_before       TEXT NOT NULL,
    queued_at        TEXT NOT NULL,
    started_at       TEXT,
    finished_at      TEXT,
    verdict          TEXT,
    points_earned    INTEGER NOT NULL,
    points_possible  INTEGER NOT NULL,
    waiting          INTEGER NOT NULL,
    report           TEXT,
    fault            TEXT,
    -- Sequence number of the newest event.
    last_seq         INTEGER NOT NULL,
    -- Whether the events were thinned out, see Store::prune_events.
    pruned           INTEGER NOT NULL
) STRICT;
CREATE INDEX gradings_of_submission ON gradings (submission, queued_at);
CREATE INDEX gradings_queue ON gradings (lane, turn, queued_at, id) WHERE state = 'queued';
CREATE INDEX gradings_leases ON gradings (lease_until) WHERE state = 'running';
CREATE INDEX gradings_unfinished ON gradings (person, lane, turn) WHERE state <> 'done';
CREATE INDEX gradings_to_prune ON gradings (finished_at) WHERE state = 'done' AND pruned = 0;

CREATE TABLE events (
    grading BLOB NOT NULL REFERENCES gradings (id) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    at      TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (grading, seq)
) STRICT, WITHOUT ROWID;

-- One row per person and exercise that has a submission: what the grid and the board show. Kept in
-- the same transactions that change gradings, so that a large grid is one range of this table.
CREATE TABLE cells (
    cohort            BLOB NOT NULL,
    person            BLOB NOT NULL,
    exercise          TEXT NOT NULL,
    state             TEXT NOT NULL,
    submissions       INTEGER NOT NULL,
    attempts          INTEGER NOT NULL,
    points_earned     INTEGER NOT NULL,
    points_possible   INTEGER NOT NULL,
    latest_submission BLOB NOT NULL,
    changed_at        TEXT NOT NULL,
    -- The cohort's revision that came with the newest change.
    revision          INTEGER NOT NULL,
    PRIMARY KEY (cohort, person, exercise)
) STRICT, WITHOUT ROWID;
CREATE INDEX cells_by_change ON cells (cohort, changed_at);
CREATE INDEX cells_by_revision ON cells (cohort, revision);

CREATE TABLE workers (
    id             TEXT NOT NULL PRIMARY KEY,
    host           TEXT NOT NULL,
    version        TEXT NOT NULL,
    engine         TEXT,
    started_at     TEXT NOT NULL,
    last_seen      TEXT NOT NULL,
    paused_because TEXT
) STRICT;
