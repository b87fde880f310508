# The image of registrar. `make image` collects the wheels first, and then builds it; the build itself
# needs no network. BASE may be any image with glibc, a `python3` of 3.11 or later and its `venv`.
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS build
COPY requirements.lock /
COPY dist/wheels /wheels
# pip runs from its wheel, and is not installed.
RUN set -eu; \
    python3 -m venv --without-pip /opt/registrar; \
    install() { \
      /opt/registrar/bin/python "$(echo /wheels/pip-*.whl)/pip" --disable-pip-version-check \
        install -q --no-compile --no-cache-dir --no-index --find-links /wheels "$@"; \
    }; \
    install --require-hashes -r /requirements.lock; \
    install --no-deps /wheels/registrar-*.whl
# The client's generated API and models are 60 MB that registrar uses nothing of.
RUN set -eu; \
    cd /opt/registrar/lib/python3*/site-packages; \
    for part in kubernetes/client kubernetes/aio/client; do \
      find $part/api $part/models -name '*.py' ! -name __init__.py -delete; \
    done; \
    find . -depth -type d \( -name tests -o -name test \) -exec rm -r {} +; \
    find . \( -name '*.pyx' -o -name '*.px[di]' -o -name '*.pyi' \) -delete; \
    rm -rf /opt/registrar/*.txt /opt/registrar/include; \
    find /opt/registrar/bin -mindepth 1 ! -name 'python*' ! -name registrar -delete; \
    /opt/registrar/bin/python -m compileall -q --invalidation-mode unchecked-hash .; \
    chmod -R go-w,a+rX /opt/registrar

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="registrar" \
      org.opencontainers.image.description="Keeps Kubernetes Services without a selector pointed at backends outside the cluster." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A base may bring a pip of its own. The one place to write to is a volume, for the unix socket.
RUN set -eu; \
    if python3 -c 'import pip' 2>/dev/null; then python3 -m pip uninstall -q -y --root-user-action=ignore pip; fi; \
    install -d -o 65532 -g 65532 -m 0700 /run/registrar
COPY --from=build /opt/registrar /opt/registrar
COPY dist/registrar.cdx.json /opt/registrar/sbom.cdx.json
VOLUME /run/registrar
# A TLS connection has a buffer of 256 KiB. Unless told so, glibc keeps those of closed ones: 5 MB.
ENV MALLOC_MMAP_THRESHOLD_=131072
ENV PATH=/opt/registrar/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    REGISTRAR_REVISION=${REVISION}
USER 65532:65532
# Whether it answers at all: an API server that is away is no reason to end what waits for it.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s CMD ["/opt/registrar/bin/registrar", "health"]
ENTRYPOINT ["/opt/registrar/bin/registrar"]
CMD ["run", "--config", "/etc/registrar/registrar.yaml"]
