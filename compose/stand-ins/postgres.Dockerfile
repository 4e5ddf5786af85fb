# Where no image registry can be reached: Debian's PostgreSQL, at the places of the vendor's image.
ARG BASE=python:3.12-slim
FROM ${BASE}
RUN groupadd -g 999 postgres && useradd -u 999 -g 999 postgres && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql \
 && rm -rf /var/lib/apt/lists/* && mkdir -p /var/lib/postgresql/data && chown 999:999 /var/lib/postgresql/data
