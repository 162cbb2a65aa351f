# syntax=docker/dockerfile:1

# The explorer page, which the server embeds.
FROM node:24-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY web .
RUN npm run build

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=web /web/dist web/dist
# The target folder is a cache and no part of the image, hence the copy within the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked && cp target/release/orderflow /usr/local/bin/

# Debian's release is the one of the build stage, so that the C library is the same.
FROM debian:bookworm-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin orderflow
COPY --from=build /usr/local/bin/orderflow /usr/local/bin/
# By number, which Kubernetes needs to see that it is not root.
USER 10001
EXPOSE 8080
ENTRYPOINT ["orderflow"]
CMD ["serve"]
