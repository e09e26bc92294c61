"""A Ray cluster of several nodes on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

MEMORY = 120 * 2**20  # bytes of a node's object store, which must fit into /dev/shm


@contextmanager
def start_cluster(nodes: int) -> Iterator:
    """Yield a `ray.cluster_utils.Cluster` of a head that does no work, and of nodes with a processor each."""
    os.environ.setdefault("RAY_worker_niceness", "0")  # else whatever else this machine does comes first
    import ray
    from ray.cluster_utils import Cluster

    options = {"object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **options})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
