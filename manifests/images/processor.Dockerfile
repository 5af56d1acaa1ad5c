# The processor, built from the project's folder:
#   docker build -f manifests/images/processor.Dockerfile -t podmirror-processor .
# The secret `registries` is optional: a shell script that tells npm, cargo and go about registries of your own.
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
RUN --mount=type=secret,id=registries --mount=type=cache,target=/root/.npm \
    if [ -e /run/secrets/registries ]; then . /run/secrets/registries; fi \
 && npm pkg delete dependencies.@kubernetes/client-node dependencies.node-forge dependencies.picomatch \
 && npm install --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm package-lock.json \
 && find node_modules -type f \( -name '*.map' -o -name '*.md' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' \) -delete
COPY LICENSE ./
COPY certs certs
COPY processor processor
# Node reads it even where nothing may be written: types are stripped here and not at each start. It is kept by user.
ENV NODE_COMPILE_CACHE=/app/.compiled
RUN rm -r processor/modsecurity/Cargo.toml processor/modsecurity/build.rs processor/modsecurity/src \
 && chmod -R a+rX,go-w . && install -d -o 65532 .compiled \
 && HOME=/app setpriv --reuid 65532 --regid 65532 --clear-groups node processor/main.ts --help \
 && chown -R root: .compiled && chmod -R a+rX .compiled

FROM ${BASE} AS addon
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    build-essential ca-certificates cargo-web libmodsecurity-dev pkg-config rustc-web
ENV CARGO_HOME=/cargo/home CARGO_TARGET_DIR=/cargo/target
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY bpf bpf
COPY processor/exchange.proto processor/
COPY processor/modsecurity processor/modsecurity
# Cargo tells by dates what is to be built again, and a cache outlives the dates of copied files.
RUN --mount=type=secret,id=registries --mount=type=cache,target=/cargo \
    if [ -e /run/secrets/registries ]; then . /run/secrets/registries; fi \
 && find . -type f -exec touch {} + \
 && cargo build --release --locked -p podmirror-modsecurity \
 && install -m 755 /cargo/target/release/libpodmirror_modsecurity.so /modsecurity.node

FROM ${BASE} AS rules
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates golang-go
COPY processor/rules/crs.sh /
RUN --mount=type=secret,id=registries \
    if [ -e /run/secrets/registries ]; then . /run/secrets/registries; fi \
 && CRS_DIR=/crs sh /crs.sh && chmod -R a+rX,go-w /crs

FROM ${BASE}
LABEL org.opencontainers.image.title="podmirror processor" \
      org.opencontainers.image.description="Finds attacks in mirrored HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libmodsecurity3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/*
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=rules /crs /usr/share/podmirror/crs
COPY --from=app /app /app
COPY --from=addon /modsecurity.node /app/processor/modsecurity/modsecurity.node
ENV NODE_COMPILE_CACHE=/app/.compiled HOME=/app \
    PODMIRROR_PROCESSOR_INSPECTION_CRS_FOLDER=/usr/share/podmirror/crs
WORKDIR /app
USER 65532:65532
ENTRYPOINT ["node", "processor/main.ts"]
