from trainingjob.adapters.kube.cluster import Cluster
from trainingjob.adapters.kube.streams import Streams

__all__ = ["Cluster", "Streams"]
