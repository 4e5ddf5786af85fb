-- Who may ask. A client owns portfolios, alerts and jobs; it asks with any of its keys.
CREATE TABLE clients (
    client_id   text PRIMARY KEY CHECK (client_id ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    role        text        NOT NULL,
    allowed_ips cidr[]      NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Only a keyed hash of a key is here.
CREATE TABLE api_keys (
    key_id       text PRIMARY KEY,
    client_id    text        NOT NULL REFERENCES clients ON DELETE CASCADE,
    digest       bytea       NOT NULL,
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    replaces     text
);
CREATE INDEX api_keys_client_id ON api_keys (client_id);

-- What was changed by whom. Append-only: each row's hash covers the row before it.
CREATE TABLE audit (
    seq      bigint PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text        NOT NULL,
    action   text        NOT NULL,
    subject  text        NOT NULL,
    detail   jsonb       NOT NULL DEFAULT '{}',
    previous bytea       NOT NULL,
    hash     bytea       NOT NULL
);
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit is append-only';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
