"""`python -m tests.bench`: speed, beside other systems in the same run. The last line of output is one JSON object."""
