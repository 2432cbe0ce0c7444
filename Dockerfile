# craft for training and detection: `make container`, or `make container DEVICE=cuda`. A folder of yours is mounted as /work:
#
#   docker run --rm -v "$PWD:/work" craft:cpu detect photo.jpg
#   docker run --rm --gpus all --shm-size 16g -v "$PWD:/work" craft:cuda train /craft/configs/own_data.yaml --out runs/mine
#
# Loader processes pass crops through shared memory, hence --shm-size.
FROM python:3.12-slim
ARG DEVICE=cpu
# Triton, which training on CUDA uses, compiles its launcher with a C compiler.
RUN if [ "$DEVICE" = cuda ]; then apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*; fi
COPY README.md /craft/
# Builds of torch without CUDA come from where the README's Install says.
RUN if [ "$DEVICE" = cpu ]; then index=$(grep -o -m 1 -e '--index-url [^ ]*' /craft/README.md); fi; \
    pip install --no-cache-dir torch torchvision $index
COPY pyproject.toml LICENSE /craft/
COPY craft /craft/craft
RUN pip install --no-cache-dir /craft && craft --version
COPY configs /craft/configs
ENV NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /work
ENTRYPOINT ["craft"]
CMD ["--help"]
