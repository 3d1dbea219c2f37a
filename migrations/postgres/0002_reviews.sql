-- What trainers made of answers. Rows are only added: the newest of a submission and check counts, those
-- before it tell what it was changed from.
CREATE TABLE reviews (
    id          UUID NOT NULL PRIMARY KEY,
    submission  UUID NOT NULL REFERENCES submissions (id),
    -- The check's id in the exercise.
    check_id    TEXT NOT NULL,
    reviewer    UUID NOT NULL REFERENCES people (id),
    -- Scores and comment, JSON.
    review      TEXT NOT NULL,
    reviewed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX reviews_of_submission ON reviews (submission, check_id, reviewed_at);
CREATE INDEX gradings_for_review ON gradings (submission) WHERE waiting;
