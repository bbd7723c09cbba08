# Build the wheel where the tools are, run it where they are not.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY dispatcher ./dispatcher
COPY migrations ./migrations
COPY examples ./examples
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[embedded]'

FROM python:3.13-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'dispatcher[embedded]' \
    && useradd --system --create-home --home-dir /var/lib/dispatcher dispatcher
USER dispatcher
VOLUME /var/lib/dispatcher
STOPSIGNAL SIGTERM
ENTRYPOINT ["dispatcher"]
CMD ["--help"]
