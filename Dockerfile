# Images of the catalog and of the weather pipeline: docs/containers.md.
#
#   docker build --target catalog --tag falcon-catalog .
#   docker build --target pipeline --tag falcon-weather .

ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
# Optional parts of the catalog: s3, gcs, azure, postgres, otel, relocate.
ARG EXTRAS=s3,postgres,otel
WORKDIR /src
COPY pyproject.toml setup.cfg constraints.txt README.md LICENSE ./
COPY falcon_catalog falcon_catalog
COPY jobs jobs
# Data files of the package: units, settings, the dbt project.
COPY systemd systemd
COPY conf conf
COPY dbt dbt
ENV PIP_CACHE_DIR=/var/cache/pip
RUN python -m venv /opt/falcon-catalog/venv
RUN --mount=type=cache,target=/var/cache/pip \
    /opt/falcon-catalog/venv/bin/pip install --constraint constraints.txt ".[${EXTRAS}]"

FROM build AS build-pipeline
RUN --mount=type=cache,target=/var/cache/pip \
    /opt/falcon-catalog/venv/bin/pip install --constraint constraints.txt ".[jobs]"

FROM python:${PYTHON} AS base
RUN groupadd --gid 10001 iceberg \
    && useradd --uid 10001 --gid iceberg --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin iceberg \
    && install -d -m 0750 -o iceberg -g iceberg /var/lib/falcon-catalog /var/lib/falcon-weather
# Nothing is written outside the state directories and /tmp: the root may be read-only.
ENV PATH=/opt/falcon-catalog/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can check that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM

FROM base AS pipeline
COPY --from=build-pipeline /opt/falcon-catalog/venv /opt/falcon-catalog/venv
ENV LUIGI_CONFIG_PATH=/opt/falcon-catalog/venv/share/falcon-catalog/conf/luigi.cfg \
    WEATHER_DATA_DIR=/var/lib/falcon-weather \
    WEATHER_DBT_DIR=/opt/falcon-catalog/venv/share/falcon-catalog/dbt \
    HOME=/var/lib/falcon-weather
WORKDIR /var/lib/falcon-weather
VOLUME ["/var/lib/falcon-weather"]
ENTRYPOINT ["python", "-m"]
CMD ["jobs.stack", "run", "--help"]

FROM base AS catalog
COPY --from=build /opt/falcon-catalog/venv /opt/falcon-catalog/venv
# Whoever reaches the port needs a token, unless these are set otherwise.
ENV STATE_DIRECTORY=/var/lib/falcon-catalog \
    CATALOG_SERVER_LISTEN=0.0.0.0:8181 \
    CATALOG_AUTH_REQUIRED=true
WORKDIR /var/lib/falcon-catalog
VOLUME ["/var/lib/falcon-catalog"]
EXPOSE 8181
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8181/health/ready', timeout=4)"]
ENTRYPOINT ["falcon-catalog"]
CMD ["serve"]
