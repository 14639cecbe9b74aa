"""The init job: secrets, then Elasticsearch, then Kibana; safe to run again at any time."""
