"""Answers that MLflow does not give, and some that are nearly its own, for property tests."""

from hypothesis import strategies as st

INFO = {"run_id": "r", "experiment_id": "1", "status": "RUNNING", "lifecycle_stage": "active"}
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
NAMES = st.sampled_from(
    [
        *("run", "runs", "run_info", "info", "data", "tags", "metrics", "key", "value"),
        *("timestamp", "step", "run_id", "experiment_id", "status", "start_time"),
        *("lifecycle_stage", "experiment", "experiments", "models", "model_id"),
        *("next_page_token", "error_code", "message"),
    ]
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | ANY_TEXT, inner),
    max_leaves=30,
)
RUNS = st.fixed_dictionaries(
    {"info": st.fixed_dictionaries({name: st.just(value) for name, value in INFO.items()})},
    optional={
        "data": st.fixed_dictionaries(
            {},
            optional={
                part: st.lists(
                    st.dictionaries(st.sampled_from(["key", "value", "timestamp"]), SCALARS)
                )
                for part in ("tags", "metrics")
            },
        )
    },
)
ANSWERS = ANY_JSON | st.fixed_dictionaries(
    {"run": RUNS, "runs": st.lists(RUNS | ANY_JSON, max_size=3), "run_info": ANY_JSON}
)
