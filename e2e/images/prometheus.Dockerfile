# Prometheus: this machine's own, or that of Debian's package, which wants a C library; and what finds its targets.
FROM trainyard-e2e-base
COPY prometheus discovery.py /
ENTRYPOINT ["/prometheus"]
