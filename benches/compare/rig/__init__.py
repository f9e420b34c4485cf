"""What `run` and `idle-memory` share: processes on chosen cores, the servers around a proxy, the load."""
