"""The CEL rules of spec.initializers."""

from trainingjob_operator.api.cel import rule, validations

# Of the containers and volumes that the operator makes of initializers.
INITIALIZER_PREFIX = "trainingjob-initializer-"
SOURCE_PREFIX = "trainingjob-source-"
# The agent's: initializers run from there.
_AGENT_PATH = "/opt/trainingjob"
_CLAIM = "[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_SOURCES = (
    "s3://[^/]+(/.*)?",
    "https?://[^/]+/.*",
    f"pvc://{_CLAIM}(/.*)?",
    "models:/[^/].*",
    "runs:/[^/]+(/.*)?",
)

NAME_RULES = validations(
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "spec.initializers.name must have only a-z, 0-9 and '-', and start and end with a letter "
        "or digit",
    )
)
SOURCE_RULES = validations(
    rule(
        f"self.matches('^({'|'.join(_SOURCES)})$')",
        "spec.initializers.source must be s3://BUCKET/KEY, http://… or https://… with a path, "
        "pvc://CLAIM/PATH, models:/NAME/VERSION or runs:/RUN/PATH",
    )
)
DIRECTORY_RULES = validations(
    rule(
        r"self.matches('^(/[^/:]+)+$') && !self.matches('(^|/)[.][.]?(/|$)')"
        f" && self != '{_AGENT_PATH}' && !self.startsWith('{_AGENT_PATH}/')",
        f"spec.initializers.path must be an absolute path such as /data, and not {_AGENT_PATH}, "
        "which is the agent's",
    )
)
INITIALIZER_RULES = validations(
    rule(
        "!has(self.sha256) || self.source.startsWith('http')",
        "spec.initializers.sha256 is only for a source of http:// or https://: remove it",
        "sha256",
    )
)

# Across fields of the spec.
INITIALIZERS_RULES = (
    rule(
        "!has(self.initializers) || !has(self.volumeMounts) || self.initializers.all(one,"
        " self.volumeMounts.all(m, !has(m.readOnly) || !m.readOnly"
        " || (one.path != m.mountPath && !one.path.startsWith(m.mountPath + '/'))))",
        "spec.initializers.path must not be in a volume that spec.volumeMounts mount readOnly: "
        "remove readOnly, or choose another path",
        "initializers",
    ),
    rule(
        "!has(self.initializers) || !has(self.volumes) || self.volumes.all(v,"
        f" !v.name.startsWith('{INITIALIZER_PREFIX}') && !v.name.startsWith('{SOURCE_PREFIX}'))",
        f"spec.volumes must not have names that start with {INITIALIZER_PREFIX} or "
        f"{SOURCE_PREFIX} when spec.initializers is set: choose other names",
        "volumes",
    ),
)
