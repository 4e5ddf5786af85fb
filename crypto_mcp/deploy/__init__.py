"""What a deployment needs beside the program: certificates, secrets, accounts of the databases, a check before it."""
