"""Who may do what: clients, their keys, roles and scopes, and the record of what was changed."""
