"""`make n8n`: the workflows of docs/n8n on a real n8n, before the whole product."""
