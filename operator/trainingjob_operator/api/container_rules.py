"""What a job may choose about containers and users, and the CEL rules that keep it to that.

All of it is within the restricted Pod Security Standard. The lists of fields here are what the CRD
has and what the operator takes over: anything else of a Kubernetes type is in neither.
"""

from pydantic import JsonValue

from trainingjob_operator.api.cel import rule, validations

TRAINER = "trainer"
# Of containers and volumes that the operator adds itself.
OWN_PREFIX = "trainingjob-"
TEMPORARY_VOLUME = "trainingjob-tmp"
TEMPORARY_PATH = "/tmp"  # noqa: S108 - a mount point in the container, not a file of ours
CONTAINER_FIELDS = (
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "name",
    "resources",
    "securityContext",
    "startupProbe",
    "volumeMounts",
    "workingDir",
)
SECURITY_CONTEXT_FIELDS = ("readOnlyRootFilesystem", "runAsGroup", "runAsUser")
POD_SECURITY_CONTEXT_FIELDS = (
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsGroup",
    "runAsUser",
    "supplementalGroups",
)
_LISTS = ("initContainers", "sidecars")
_PROBES = ("exec", "grpc", "httpGet", "tcpSocket")


def _name_rule(field: str) -> dict[str, JsonValue]:
    return rule(
        f"self.name != '{TRAINER}' && !self.name.startsWith('{OWN_PREFIX}')",
        f"spec.{field} must not have the name {TRAINER}, or one that starts with {OWN_PREFIX}, "
        "which are the operator's: choose another name",
    )


INIT_CONTAINER_RULES = validations(
    _name_rule("initContainers"),
    rule(
        "!has(self.startupProbe)",
        "spec.initContainers must not have a startupProbe: they are over when they end; move the "
        "container to spec.sidecars or remove the probe",
        reason="FieldValueForbidden",
    ),
)
SIDECAR_RULES = validations(
    _name_rule("sidecars"),
    rule(
        "!has(self.startupProbe)"
        f" || [{', '.join(f'has(self.startupProbe.{probe})' for probe in _PROBES)}]"
        ".filter(set, set).size() == 1",
        f"spec.sidecars must each have exactly one of {', '.join(_PROBES)} in startupProbe",
    ),
)


def _mounts_rule(field: str) -> dict[str, JsonValue]:
    return rule(
        f"!has(self.{field}) || self.{field}.all(c, !has(c.volumeMounts) || c.volumeMounts.all(m,"
        " has(self.volumes) && self.volumes.exists(v, v.name == m.name)))",
        f"spec.{field} must each have volumeMounts that name an entry of spec.volumes: add the "
        "volume or correct the name",
        field,
    )


def _claims_rule(field: str) -> dict[str, JsonValue]:
    return rule(
        f"!has(self.{field}) || self.{field}.all(c, !has(c.resources)"
        " || !has(c.resources.claims) || c.resources.claims.all(one,"
        " has(self.resourceClaims) && self.resourceClaims.exists(r, r.name == one.name)))",
        f"spec.{field} must each have resources.claims that name an entry of spec.resourceClaims: "
        "add the claim or correct the name",
        field,
    )


# Across fields of the spec.
CONTAINER_RULES = (
    rule(
        "!has(self.initContainers) || !has(self.sidecars) || self.initContainers.all(c,"
        " self.sidecars.all(s, s.name != c.name))",
        "spec.sidecars must not have the name of one of spec.initContainers: choose another name",
        "sidecars",
    ),
    *(_mounts_rule(field) for field in _LISTS),
    *(_claims_rule(field) for field in _LISTS),
    rule(
        "!has(self.resourcesPerNode) || !has(self.resourcesPerNode.claims)"
        " || self.resourcesPerNode.claims.all(one,"
        " has(self.resourceClaims) && self.resourceClaims.exists(r, r.name == one.name))",
        "spec.resourcesPerNode.claims must each name an entry of spec.resourceClaims: add the "
        "claim or correct the name",
        "resourcesPerNode",
    ),
    rule(
        "!has(self.dnsPolicy) || self.dnsPolicy != 'None' || (has(self.dnsConfig)"
        " && has(self.dnsConfig.nameservers) && self.dnsConfig.nameservers.size() > 0)",
        "spec.dnsPolicy None needs spec.dnsConfig.nameservers: name a server or choose another "
        "policy",
        "dnsPolicy",
    ),
)

RESOURCE_CLAIM_RULES = validations(
    rule(
        "has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
        "spec.resourceClaims must each have either resourceClaimName or resourceClaimTemplateName",
    )
)

SPREAD_RULES = validations(
    rule(
        "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
        "spec.topologySpreadConstraints with minDomains must have whenUnsatisfiable DoNotSchedule",
    )
)
