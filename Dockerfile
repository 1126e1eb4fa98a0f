# The program in an image without a shell. docs/deployment.md tells how to run it.

# The release of Rust is that of rust-version in Cargo.toml; both stages are of the same Debian, as the binary needs its glibc.
FROM rust:1.95-slim-trixie AS build
WORKDIR /build

# The dependencies alone, in a layer that is made again only when they change: every target of ours is an empty file for now.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches examples/gallery tests/it \
    && for target in src/main benches/delivery benches/thumbnail examples/gallery/main tests/it/main; do echo 'fn main() {}' > "$target.rs"; done \
    && touch src/lib.rs \
    && cargo build --release --locked

COPY src src
COPY static static
COPY templates templates
COPY migrations migrations
# Cargo goes by the times of files, and those of a checkout may be older than the empty ones.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin cfimages \
    && mkdir /data

FROM gcr.io/distroless/cc-debian13:nonroot
LABEL org.opencontainers.image.title="cfimages" \
      org.opencontainers.image.description="The image backend for applications that keep their pictures in Cloudflare Images" \
      org.opencontainers.image.licenses="MIT"

COPY --from=build /build/target/release/cfimages /usr/local/bin/cfimages
# Where a SQLite database lies by default; nothing else is ever written.
COPY --from=build --chown=65532:65532 /data /var/lib/cfimages
WORKDIR /var/lib/cfimages

# Others reach it, so serve wants CLOUDFLARE_IMAGES_WEBHOOK_SECRET, or the file CLOUDFLARE_IMAGES_WEBHOOK_SECRET_FILE.
ENV CFIMAGES_LISTEN=0.0.0.0:8000
EXPOSE 8000
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/cfimages", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/cfimages"]
CMD ["serve"]
