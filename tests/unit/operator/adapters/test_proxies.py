import pytest
from trainingjob_operator.adapters.proxies import environment_proxy

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://mlflow.example.com", PROXY),
        ("http://mlflow.example.com:5000", None),
        ("https://mlflow.internal.example.com", None),
        ("https://127.0.0.1:6443", None),
        ("https://10.96.0.1:443", None),
        ("https://[fd00:10::1]:443", None),
        ("https://192.0.2.1:443", PROXY),
    ],
)
def test_the_proxy_of_a_server(
    url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "internal.example.com,127.0.0.1, 10.0.0.0/8,fd00::/8,no/64")
    assert environment_proxy(url) == proxy
