# syntax=docker/dockerfile:1
# The API, the workers and the command line in one small image; see docker-compose.yml for how they run together.
#   docker build --build-arg TORCH=cu130 .      PyTorch for that CUDA instead of the CPU build
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
ARG TORCH=cpu
WORKDIR /src
RUN python3 -m venv /opt/shotput
ENV PATH=/opt/shotput/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY constraints.txt ./
# PyTorch and torchvision alone and first: the largest layer changes the least, and their index is asked for nothing else
RUN pip install --no-deps --retries 1 --extra-index-url "https://download.pytorch.org/whl/${TORCH}" $(grep -E '^torch(vision)?==' constraints.txt)
COPY pyproject.toml README.md ./
COPY meta_core meta_core
COPY app app
COPY worker worker
RUN pip install --constraint constraints.txt '.[audio,onnx,otel,sklearn,text,timm]'

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 shotput \
 && useradd --uid 10001 --gid shotput --no-create-home --home-dir /data --shell /usr/sbin/nologin shotput \
 && install -d -o shotput -g shotput /data /data/tmp
COPY --from=build /opt/shotput /opt/shotput
ENV PATH=/opt/shotput/bin:$PATH PYTHONUNBUFFERED=1 SHOTPUT_HOST=0.0.0.0 SHOTPUT_HOME=/data SHOTPUT_LOG_FORMAT=json
USER shotput
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('SHOTPUT_PORT', '8000') + '/healthz', timeout=4)"]
CMD ["shotput", "up"]
