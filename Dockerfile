# The demo without an installation; the folder must be writable by user 1000:
#   docker build --tag dancebench .
#   docker run --rm --network none --volume "$PWD/workspace:/home/bench/workspace" dancebench
FROM python:3.13-slim

RUN apt-get update \
 && apt-get install --yes --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home bench

# An index with CPU builds of torch makes the image gigabytes smaller: --build-arg PIP_EXTRA_INDEX_URL=…
ARG PIP_EXTRA_INDEX_URL
COPY . /opt/dancebench
RUN pip install --no-cache-dir --constraint /opt/dancebench/constraints.txt /opt/dancebench

USER bench
WORKDIR /home/bench
# The pose extractor's models lie in the image: then nothing needs a network.
RUN bench data models

ENTRYPOINT ["bench"]
CMD ["demo"]
