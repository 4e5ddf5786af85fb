# Where no image registry can be reached: Debian's Redis, at the places of the vendor's image.
ARG BASE=python:3.12-slim
FROM ${BASE}
RUN groupadd -g 999 redis && useradd -u 999 -g 999 redis && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server redis-tools \
 && rm -rf /var/lib/apt/lists/* && mkdir -p /data && chown 999:999 /data
