# Where no image registry can be reached: Debian's nginx, at the places of the vendor's image.
ARG BASE=python:3.12-slim
FROM ${BASE}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx \
 && rm -rf /var/lib/apt/lists/*
