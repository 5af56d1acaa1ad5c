# The agent, built from the project's folder:
#   docker build -f manifests/images/agent.Dockerfile -t podmirror-agent .
# The secret `registries` is optional: a shell script that tells npm and cargo about registries of your own.
ARG BASE=debian:12-slim

# Node and the packages that this service needs.
FROM ${BASE} AS node
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends binutils ca-certificates nodejs npm
WORKDIR /app
COPY package.json package-lock.json ./
# npm's packages node-linux-* carry the binary.
RUN --mount=type=secret,id=registries --mount=type=cache,target=/root/.npm \
    if [ -e /run/secrets/registries ]; then . /run/secrets/registries; fi \
 && arch=$(node -p process.arch) && version=$(node -p 'require("./package.json").devDependencies.node') \
 && npm install --prefix /opt/node --no-audit --no-fund "node-linux-$arch@$version" \
 && install "/opt/node/node_modules/node-linux-$arch/bin/node" /usr/local/bin/node \
 && strip /usr/local/bin/node

FROM node AS app
# The Kubernetes client only reads kubeconfig files; nothing here is a server of many routes, or a CA.
RUN --mount=type=secret,id=registries --mount=type=cache,target=/root/.npm \
    if [ -e /run/secrets/registries ]; then . /run/secrets/registries; fi \
 && npm pkg delete dependencies.@kubernetes/client-node dependencies.express dependencies.node-forge \
 && npm install --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm package-lock.json \
 && find node_modules -type f \( -name '*.map' -o -name '*.md' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' \) -delete
COPY LICENSE ./
COPY bpf/kernel/LICENSE.GPL-2.0 bpf/addon.ts bpf/
COPY certs certs
COPY processor/exchange.proto processor/
COPY webhook/cluster webhook/cluster
COPY webhook/intent webhook/intent
COPY agent agent
# Node reads it even where nothing may be written: types are stripped here and not at each start.
ENV NODE_COMPILE_CACHE=/app/.compiled
RUN chmod -R a+rX,go-w . && node agent/main.ts --version

FROM ${BASE} AS addon
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    build-essential ca-certificates cargo-web clang libelf-dev pkg-config rustc-web zlib1g-dev
ENV CARGO_HOME=/cargo/home CARGO_TARGET_DIR=/cargo/target
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY processor/exchange.proto processor/
COPY processor/modsecurity processor/modsecurity
COPY bpf bpf
# Cargo tells by dates what is to be built again, and a cache outlives the dates of copied files.
RUN --mount=type=secret,id=registries --mount=type=cache,target=/cargo \
    if [ -e /run/secrets/registries ]; then . /run/secrets/registries; fi \
 && find . -type f -exec touch {} + \
 && cargo build --release --locked -p podmirror-bpf \
 && install -m 755 /cargo/target/release/libpodmirror_bpf.so /podmirror.node

FROM ${BASE}
LABEL org.opencontainers.image.title="podmirror agent" \
      org.opencontainers.image.description="Mirrors HTTP of containers on its node with eBPF" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only"
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libelf1 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/*
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=app /app /app
COPY --from=addon /podmirror.node /app/bpf/podmirror.node
# The settings of agent/podmirror-agent, which keep its memory small.
ENV MALLOC_ARENA_MAX=2 NODE_COMPILE_CACHE=/app/.compiled HOME=/app
WORKDIR /app
# Root, since the kernel asks for capabilities that other users cannot be given; the manifest takes all others away.
ENTRYPOINT ["node", "--max-semi-space-size=1", "agent/main.ts"]
