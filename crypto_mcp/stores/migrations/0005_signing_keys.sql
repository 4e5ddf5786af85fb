-- A key whose holder signs with a key pair of their own: the public half, 32 bytes in hex (Ed25519).
ALTER TABLE api_keys ADD COLUMN signing_key text CHECK (signing_key ~ '^[0-9a-f]{64}$');
