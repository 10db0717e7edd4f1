"""Messages without secrets: what of a URL may be shown, and what of a text that quotes one."""

from __future__ import annotations

import string
import warnings
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import BadInput, masked, say_once, scrubbed


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@host:5432/trials?password=hunter2&sslmode=require", "postgresql://host:5432/trials"),
        ("postgresql+psycopg2://me@host/trials#hunter2", "postgresql+psycopg2://host/trials"),
        ("postgresql:///trials?host=/run&user=me&password=hunter2", "postgresql:///trials"),
        ("postgresql://me:hun%40ter2@[::1]:33/trials", "postgresql://[::1]:33/trials"),
        ("mysql://me:hunter2@host/trials;password=hunter2", "mysql://host/trials"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter2", "mssql+pyodbc:///"),
        ("redis://:hunter2@host:6379/0", "redis://host:6379/0"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://me:hunter2@mlflow.example/team?token=hunter2", "https://mlflow.example"),
        ("https://mlflow.example/hunter2/", "https://mlflow.example"),
        ("sqlite:////home/a@b/mlflow.db?password=hunter2", "sqlite:////home/a@b/mlflow.db"),
        ("sqlite+pysqlcipher://:hunter2@//data/trials.db?cipher=aes", "sqlite+pysqlcipher:////data/trials.db"),
        ("file:///data/mlruns", "file:///data/mlruns"),
        ("databricks://profile", "databricks://profile"),
        ("results/mlflow.db", "results/mlflow.db"),
        # Where readers of URLs disagree on what is the password, nothing but the scheme is sure.
        ("postgresql://me:hun/ter2@host/trials", "postgresql://***"),
        ("postgresql://me:hun?ter2@host/trials", "postgresql://***"),
        ("postgresql://me:hun#ter2@host/trials", "postgresql://***"),
        ("postgresql://host/trials?user=me@corp&password=hunter2", "postgresql://***"),
        ("me:hunter2@host/trials", "***"),
        ("://me:hunter2@host", "***"),
    ],
)
def test_of_a_url_scheme_host_port_and_database_are_shown(url: str, shown: str) -> None:
    assert masked(url) == shown
    assert masked(shown) == shown, "once is enough"


@settings(deadline=None)
@given(
    st.text(string.ascii_letters + string.digits + string.punctuation, min_size=6, max_size=30),
    st.sampled_from(["postgresql", "mysql+pymysql", "http", "https", "redis", "sqlite"]),
    st.sampled_from(
        ["{0}://me:{1}@host/db", "{0}://{1}@host:99/db", "{0}://host/db?password={1}", "{0}://host/db#{1}"]
    ),
)
def test_no_password_comes_through(password: str, scheme: str, form: str) -> None:
    for secret in (password, quote(password, safe="")):
        if scheme == "sqlite" and secret.startswith("/"):
            continue  # sqlite:///name@host is a file of that name
        url = form.format(scheme, secret)
        for text in (masked(url), scrubbed(f"cannot connect to {url!s} now", url), scrubbed(f"at {secret}:", url)):
            assert secret not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no route to postgresql://me:hunter2@host/db, sorry", "no route to postgresql://host/db, sorry"),
        ("GET https://me:hunter2@host/api/2.0?t=hunter2 failed", "GET https://host/api/2.0 failed"),
        ("see https://sqlalche.me/e/20/e3q8.", "see https://sqlalche.me/e/20/e3q8."),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("{'password': 'hun ter2', 'port': 1}", "{'password': ***, 'port': 1}"),
        ('{"api_key": "hunter2"}', '{"api_key": ***}'),
        ("Authorization: Bearer hunter2hunter2", "Authorization: ***"),
        ("sent Bearer hunter2hunter2", "sent Bearer ***"),
        ("bad token hf_abcdefghijklmnopqr", "bad token ***"),
        (
            "tokenizer: bert, max_tokens=12, author: Li, passed: 3",
            "tokenizer: bert, max_tokens=12, author: Li, passed: 3",
        ),
    ],
)
def test_a_text_loses_its_secrets_and_nothing_else(text: str, shown: str) -> None:
    assert scrubbed(text) == shown
    assert scrubbed(shown) == shown


def test_what_the_environment_calls_secret_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tr0ub4dor")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "no-secret")
    assert scrubbed("401 for tr0ub4dor, no-secret") == "401 for ***, no-secret"


def test_every_message_to_a_user_goes_through_it() -> None:
    assert str(BadInput("storage postgresql://me:hunter2@host/db is gone")) == "storage postgresql://host/db is gone"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        say_once("left out: https://me:hunter2@host/data.zip")
    assert [str(one.message) for one in caught] == ["left out: https://host/data.zip"]


@pytest.mark.parametrize("unit", ["x", "-", "a=", "token", "://"])
def test_a_long_text_takes_no_longer_than_its_length(unit: str) -> None:
    """These took minutes while a search began anew at every character."""
    text = unit * (200_000 // len(unit))
    assert len(scrubbed(text)) <= len(text)
