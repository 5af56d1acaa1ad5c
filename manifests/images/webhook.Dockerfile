# The webhook, built from the project's folder:
#   docker build -f manifests/images/webhook.Dockerfile -t podmirror-webhook .
# The secret `registries` is optional: a shell script that tells npm about a registry of your own.
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
# The Kubernetes client only reads kubeconfig files, which a pod has none of; the webhook sees no exchanges.
RUN --mount=type=secret,id=registries --mount=type=cache,target=/root/.npm \
    if [ -e /run/secrets/registries ]; then . /run/secrets/registries; fi \
 && npm pkg delete dependencies.@kubernetes/client-node dependencies.protobufjs \
 && npm install --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm package-lock.json \
 && find node_modules -type f \( -name '*.map' -o -name '*.md' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' \) -delete
COPY LICENSE ./
COPY certs certs
COPY webhook webhook
# Node reads it even where nothing may be written: types are stripped here and not at each start. It is kept by user.
ENV NODE_COMPILE_CACHE=/app/.compiled
RUN chmod -R a+rX,go-w . && install -d -o 65532 .compiled \
 && setpriv --reuid 65532 --regid 65532 --clear-groups node webhook/main.ts --version \
 && chown -R root: .compiled && chmod -R a+rX .compiled

FROM ${BASE}
LABEL org.opencontainers.image.title="podmirror webhook" \
      org.opencontainers.image.description="Decides which pods are mirrored" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=app /app /app
ENV NODE_COMPILE_CACHE=/app/.compiled HOME=/app
WORKDIR /app
USER 65532:65532
ENTRYPOINT ["node", "webhook/main.ts"]
