# The S3 server of the tests, a static program.
FROM scratch
COPY versitygw /versitygw
ENTRYPOINT ["/versitygw"]
