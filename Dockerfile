# Two images from one file:
#   docker build --target dispatcher .    worker, clock, migrate and every other command (the default)
#   docker build --target sandbox .       the stand-in for the provider's API, with what only it needs

ARG PYTHON_VERSION=3.13


FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
# Every release is pinned with the hashes of its files (`make lock`), and comes as a wheel, so no compiler is needed even
# here. The environment gets no pip of its own: it is copied as it is, compiled to bytecode, and nothing is installed into
# it later.
COPY requirements requirements
RUN pip install --require-hashes --only-binary :all: -r requirements/build.lock \
    && python -m venv --without-pip /opt/dispatcher \
    && pip --python /opt/dispatcher/bin/python install --require-hashes --only-binary :all: -r requirements/dispatcher.lock
COPY pyproject.toml README.md ./
COPY dispatcher dispatcher
COPY migrations migrations
COPY examples/recipients.csv examples/
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && pip --python /opt/dispatcher/bin/python install --no-deps --no-index /wheels/*.whl
# Nothing above compares the locks with what the wheel asks for; without this a worker would find out.
RUN pip --python /opt/dispatcher/bin/python check \
    || { echo "requirements/*.lock do not match pyproject.toml: run make lock, then build again" >&2; exit 1; }


FROM build AS build-sandbox
RUN pip --python /opt/dispatcher/bin/python install --require-hashes --only-binary :all: -r requirements/sandbox.lock


FROM python:${PYTHON_VERSION}-slim AS runtime
# PYTHONDONTWRITEBYTECODE: the code belongs to root and is compiled already. PYTHONUNBUFFERED: no line waits in a
# buffer while the container is being killed.
ENV PATH=/opt/dispatcher/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DISPATCHER_HOME=/var/lib/dispatcher
# A new volume takes over the owner of the folder that it is mounted on, so the folder is made here.
RUN groupadd --system --gid 10001 dispatcher \
    && useradd --system --uid 10001 --gid dispatcher --no-create-home --home-dir /var/lib/dispatcher \
        --shell /usr/sbin/nologin dispatcher \
    && install --directory --owner=dispatcher --group=dispatcher --mode=0700 /var/lib/dispatcher
WORKDIR /var/lib/dispatcher
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
# Claim nothing more, let what is in flight land, then exit. What is healthy depends on the command, so compose says it.
STOPSIGNAL SIGTERM
ENTRYPOINT ["dispatcher"]
CMD ["--help"]


FROM runtime AS sandbox
COPY --from=build-sandbox /opt/dispatcher /opt/dispatcher
EXPOSE 8025


FROM runtime AS dispatcher
COPY --from=build /opt/dispatcher /opt/dispatcher
