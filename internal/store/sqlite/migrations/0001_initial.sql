-- Version 1. Times are milliseconds since the epoch. Values and states are JSON, kept as the bytes that were given.

PRAGMA application_id = 0x42617462; -- "Batb"

-- The accounts and regions that occur. A region is empty for services that have none.
CREATE TABLE partitions (
    part    INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    UNIQUE (account, region)
) STRICT;

-- The engine's resources: compute environments, queues, definitions, policies.
CREATE TABLE resources (
    part  INTEGER NOT NULL REFERENCES partitions,
    kind  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (part, kind, key)
) STRICT, WITHOUT ROWID;

-- Documents of the services around Batch.
CREATE TABLE docs (
    part  INTEGER NOT NULL REFERENCES partitions,
    kind  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (part, kind, key)
) STRICT, WITHOUT ROWID;

-- Single jobs, array parents and multi-node parents. status is a number in AWS's order: 1 SUBMITTED, 2 PENDING,
-- 3 RUNNABLE, 4 STARTING, 5 RUNNING, 6 SUCCEEDED, 7 FAILED.
CREATE TABLE jobs (
    seq        INTEGER PRIMARY KEY CHECK (seq > 0),
    part       INTEGER NOT NULL REFERENCES partitions,
    id         TEXT    NOT NULL,
    queue      TEXT    NOT NULL,
    name       TEXT    NOT NULL COLLATE NOCASE,
    definition TEXT    NOT NULL,
    share      TEXT    NOT NULL,
    status     INTEGER NOT NULL CHECK (status BETWEEN 1 AND 7),
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    stopped_at INTEGER NOT NULL,
    state      BLOB    NOT NULL,
    CHECK (CASE WHEN status >= 6 THEN stopped_at > 0 ELSE stopped_at = 0 END)
) STRICT;

-- What never changes of a job, apart, so that a change of state does not write it again.
CREATE TABLE job_specs (
    seq  INTEGER PRIMARY KEY REFERENCES jobs,
    spec BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX jobs_by_id ON jobs (part, id);
-- Each ends in seq, the row's own key, so that a page is one walk down the index. Those by name and by definition are
-- written once a job; those with the status follow it.
CREATE INDEX jobs_by_status ON jobs (part, queue, status, created_at);
CREATE INDEX jobs_by_name ON jobs (part, queue, name, created_at);
CREATE INDEX jobs_by_definition ON jobs (part, queue, definition, created_at);
CREATE INDEX jobs_by_share ON jobs (part, queue, share, status, created_at) WHERE share <> '';

-- Array children and nodes that have left their first state; seq is the parent's.
CREATE TABLE children (
    seq    INTEGER NOT NULL REFERENCES jobs,
    idx    INTEGER NOT NULL CHECK (idx >= 0),
    status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 7),
    state  BLOB    NOT NULL,
    PRIMARY KEY (seq, idx)
) STRICT, WITHOUT ROWID;

-- The event journal, pruned from the front.
CREATE TABLE events (
    id   INTEGER PRIMARY KEY CHECK (id > 0),
    part INTEGER NOT NULL REFERENCES partitions,
    time INTEGER NOT NULL,
    body BLOB    NOT NULL
) STRICT;
