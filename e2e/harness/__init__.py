"""What the end-to-end tests stand on: docker, tools, images, a kind cluster, and an S3 server in it."""
