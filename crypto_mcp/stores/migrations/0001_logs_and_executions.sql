-- What the tools were asked and how it went.
CREATE TABLE mcp_tool_logs (
    log_id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tool_name         text        NOT NULL,
    arguments         jsonb       NOT NULL DEFAULT '{}',
    response          jsonb,
    execution_time_ms double precision,
    status            text        NOT NULL,
    error_message     text,
    created_at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mcp_tool_logs_tool_name_created_at ON mcp_tool_logs (tool_name, created_at DESC);

-- n8n workflows that submitted jobs.
CREATE TABLE workflow_executions (
    execution_id   text PRIMARY KEY,
    workflow_id    text        NOT NULL,
    execution_data jsonb       NOT NULL DEFAULT '{}',
    status         text        NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workflow_executions_workflow_id_created_at ON workflow_executions (workflow_id, created_at DESC);
