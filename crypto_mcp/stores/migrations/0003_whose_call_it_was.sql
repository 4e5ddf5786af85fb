-- Whose call it was, and what became of it.
ALTER TABLE mcp_tool_logs
    ADD COLUMN client_id    text,
    ADD COLUMN job_id       text,
    ADD COLUMN request_id   text,
    ADD COLUMN execution_id text;
CREATE INDEX mcp_tool_logs_created_at ON mcp_tool_logs (created_at);
CREATE INDEX mcp_tool_logs_client_id_created_at ON mcp_tool_logs (client_id, created_at DESC);
CREATE INDEX mcp_tool_logs_execution_id ON mcp_tool_logs (execution_id) WHERE execution_id IS NOT NULL;

ALTER TABLE workflow_executions ADD COLUMN client_id text NOT NULL DEFAULT 'local';
