from typing import Literal

from pydantic import Field

from trainingjob_operator.api.base import ApiModel
from trainingjob_operator.api.initializers import Initializer
from trainingjob_operator.api.kubernetes_types import (
    DNSConfig,
    HostAliases,
    InitContainers,
    PodSecurityContext,
    ResourceClaims,
    Sidecars,
)


class PodExtras(ApiModel):
    """The part of the spec that says as whom the pods run, and what is in them besides."""

    security_context: PodSecurityContext | None = Field(
        default=None,
        description="User and groups of all containers of the pods. With runAsUser, which is not "
        "0, images run that would run as root; HOME is /tmp and USER is trainer then, unless env "
        "sets them. What it leaves out or has as null is not set: the operator's default, fsGroup "
        "65532, is for jobs without a securityContext.",
    )
    initializers: list[Initializer] = Field(
        default=[],
        max_length=8,
        description="Data sets and models that are fetched, one after the other, before "
        "initContainers and the trainer start.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    init_containers: InitContainers = Field(
        default=[],
        description="Containers that run one after the other, to their end, before the trainer "
        "starts. One that fails fails the pod.",
    )
    sidecars: Sidecars = Field(
        default=[],
        description="Containers that start before initContainers and run beside the trainer. They "
        "are started again when they end, and ended when the trainer has: their ends decide "
        "nothing.",
    )
    resource_claims: ResourceClaims = Field(
        default=[],
        description="Claims of devices (dynamic resource allocation) that resourcesPerNode.claims "
        "and those of other containers may name. One by resourceClaimName is shared by all pods.",
    )
    dns_policy: Literal["ClusterFirst", "Default", "None"] | None = Field(
        default=None,
        description="Whose DNS settings the pods have: the cluster's (ClusterFirst), the node's "
        "(Default), or those of dnsConfig only (None). The pods of several nodes find each other "
        "by the cluster's. Default: ClusterFirst.",
    )
    dns_config: DNSConfig | None = Field(
        default=None, description="DNS settings added to those of dnsPolicy."
    )
    host_aliases: HostAliases = Field(
        default=[],
        description="Lines added to /etc/hosts of the containers.",
    )
