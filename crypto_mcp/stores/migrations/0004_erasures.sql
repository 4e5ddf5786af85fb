-- Users that were erased, or are being erased. After a restore of a backup they are erased again.
CREATE TABLE erasures (
    erasure_id  text PRIMARY KEY,
    user_id     text        NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    erased      jsonb       NOT NULL DEFAULT '{}',
    receipt     text
);
CREATE INDEX erasures_user_id ON erasures (user_id);
