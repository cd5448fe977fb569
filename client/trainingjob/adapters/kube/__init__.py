from trainingjob.adapters.kube.cluster import Cluster

__all__ = ["Cluster"]
