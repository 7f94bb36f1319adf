"""Reading prepared data: shards from object storage, in an order that resumes exactly at any world size."""
