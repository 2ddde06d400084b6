"""What `bench.gateway` is made of: the upstream, the client that loads, and what is said on each wire."""
