# syntax=docker/dockerfile:1
# Both stages are Debian 12, so that the binary finds the C library it was linked with.
FROM rust:1.95-bookworm AS build

# hadolint ignore=DL3008 # Debian's stable release pins what matters
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY access_rules.json ./
COPY conf conf
COPY benches benches
COPY src src
COPY crates crates
COPY pgo pgo
COPY scripts/build-release scripts/build-release
# The caches outlive a change of Cargo.lock, which a layer with the dependencies would not.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    scripts/build-release \
    && cp target/*/release/auth-gateway /usr/local/bin/auth-gateway

FROM debian:bookworm-slim

# Not distroless: the deployment guide runs tar (`kubectl cp`) and curl in the container.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 /app/state

COPY --from=build /usr/local/bin/auth-gateway /usr/local/bin/auth-gateway
# The working folder is where access_rules.json and conf/gateway.yaml are looked for.
# No rules are shipped: a gateway without its own rules shall not start with somebody else's.
WORKDIR /app
COPY conf/gateway.yaml conf/gateway.yaml

# A number, since Kubernetes' runAsNonRoot cannot look up a name.
USER 65532:65532
EXPOSE 3000
# 503 until the keys and the rules are loaded, at most for 45 s.
HEALTHCHECK --interval=10s --timeout=3s --start-period=45s --retries=3 CMD ["auth-gateway", "health"]
ENTRYPOINT ["auth-gateway"]
