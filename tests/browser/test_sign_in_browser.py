"""Signing in for real: Streamlit's own client, a provider of OpenID Connect and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from browser_support import LONG, ROOT, TOUR_SEEN, end_runs, serve, text_of, wait_until
from stored_runs import stored_run

from adadfq_core import runs
from adadfq_core.runs import RunStatus

REASON = "requirements-auth.txt is not installed"
pytest.importorskip("joserfc", reason=REASON)
pytest.importorskip("authlib.integrations.starlette_client", reason=REASON)

from sign_in_provider import CLIENT, SECRET, WHO, Provider, serve_provider  # noqa: E402

pytestmark = pytest.mark.browser

MAIN = "[data-testid=stMain]"
ANN, BOB = "ann@example.org", "bob@example.org"
COOKIE = "_streamlit_user"
ROW_PIXELS = 35


class Place(NamedTuple):
    """A shared server: its address, its store, the provider, and a run of Ann's."""

    url: str
    root: Path
    provider: Provider
    run_id: str


@pytest.fixture(scope="module")
def place(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("shared")
    root, elsewhere = home / "runs", home / "elsewhere"
    runs.export_run(elsewhere, stored_run(elsewhere), home / "run.zip")
    run_id = runs.import_run(root, home / "run.zip", owner=ANN)
    with serve_provider() as provider:
        secrets = home / "secrets.toml"
        secrets.write_text(
            "[auth]\n"
            'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "{"of tests alone " * 4}"\n'
            f'client_id = "{CLIENT}"\n'
            f'client_secret = "{SECRET}"\n'
            f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n'
        )
        given = {"ADADFQ_HOME": str(home), "STREAMLIT_SECRETS_FILES": str(secrets)}
        with serve(ROOT / "app" / "main.py", **given) as url:
            yield Place(url, root, provider, run_id)
        end_runs(root)


@contextmanager
def visiting(browser: Any, place: Place, who: str, path: str = "") -> Iterator[Any]:
    """A page in a browser at which `who` sits, who has not signed in yet."""
    context = browser.new_context(viewport={"width": 1280, "height": 1300})
    context.add_init_script(TOUR_SEEN)
    context.add_cookies([{"name": WHO, "value": who, "url": place.url}])
    page = context.new_page()
    page.set_default_timeout(LONG * 1000)
    try:
        page.goto(f"{place.url}/{path}")
        yield page
        assert page.get_by_test_id("stException").count() == 0
    finally:
        context.close()


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def sign_in(page: Any, who: str) -> None:
    button(page, "Sign in").click()
    button(page, "Sign out").wait_for()
    assert who in text_of(page, ".st-key-sign_in")


def signed_in(page: Any) -> bool:
    return any(each["name"] == COOKIE for each in page.context.cookies())


def said(page: Any) -> str:
    return text_of(page, MAIN).replace("\u2060", "")


def choose_row(page: Any) -> None:
    """Tick the only run of the table."""
    table = page.get_by_test_id("stDataFrame").first
    table.wait_for()
    wait_until(lambda: table.locator("tbody tr").count() > 0, seconds=LONG)
    box = table.bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 1.5 * ROW_PIXELS)
    page.get_by_label("Note").wait_for()


def write_note(page: Any, note: str) -> None:
    page.get_by_label("Note").fill(note)
    page.get_by_label("Note").press("Tab")
    page.get_by_role("button", name="Save tags and note").click()


def test_who_has_not_signed_in_sees_all_and_changes_nothing(browser: Any, place: Place) -> None:
    with visiting(browser, place, BOB) as page:
        button(page, "Sign in").wait_for()
        told = (
            f"{place.run_id} belongs to {ANN}: you can look at it, and sign in to start your own."
        )
        wait_until(lambda: told in said(page), seconds=LONG)
        for name in ("Start", "New seed", "Resume"):
            assert button(page, name).is_disabled()
        assert not signed_in(page)


def test_each_changes_what_is_theirs_until_they_sign_out(browser: Any, place: Place) -> None:
    ended = place.provider.signed_out
    with visiting(browser, place, ANN) as ann, visiting(browser, place, BOB, "runs") as bob:
        sign_in(ann, ANN)
        wait_until(lambda: button(ann, "Resume").is_enabled(), seconds=LONG)
        ann.goto(f"{place.url}/runs")
        choose_row(ann)
        write_note(ann, "Ann's")
        wait_until(lambda: runs.info(place.root, place.run_id).note == "Ann's", seconds=LONG)
        assert ann.get_by_role("button", name="Delete …").is_enabled()

        sign_in(bob, BOB)
        assert urlsplit(bob.url).path in ("/", "/runs")
        bob.goto(f"{place.url}/runs")
        choose_row(bob)
        assert bob.get_by_label("Note").input_value() == "Ann's"
        assert bob.get_by_role("button", name="Delete …").is_disabled()
        write_note(bob, "Bob's")
        refused = f"{place.run_id} belongs to {ANN}: you can look at it, and start your own."
        wait_until(lambda: refused in said(bob), seconds=LONG)
        assert runs.info(place.root, place.run_id).note == "Ann's"
        bob.goto(place.url)
        wait_until(lambda: refused in said(bob), seconds=LONG)
        assert button(bob, "Start").is_enabled() and button(bob, "Resume").is_disabled()

        button(ann, "Sign out").click()
        button(ann, "Sign in").wait_for()
        assert not signed_in(ann) and signed_in(bob)
        assert place.provider.signed_out == ended + 1
        ann.reload()
        button(ann, "Sign in").wait_for()


SPOILT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "for-another-program": lambda claims: claims | {"aud": "another"},
    "of-another-provider": lambda claims: claims | {"iss": "http://127.0.0.1:1"},
    "of-yesterday": lambda claims: claims | {"iat": 1, "exp": 2},
    "of-another-sign-in": lambda claims: claims | {"nonce": "another"},
    "without-nonce": lambda claims: {name: v for name, v in claims.items() if name != "nonce"},
    "without-audience": lambda claims: {name: v for name, v in claims.items() if name != "aud"},
}


@pytest.mark.slow
def test_a_token_that_is_not_right_signs_nobody_in(browser: Any, place: Place) -> None:
    provider = place.provider
    provider.spoil.update(SPOILT)
    provider.foreign.add("of-another-key")
    provider.symmetric.add("of-no-secret")
    with visiting(browser, place, ANN) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        sign_in(page, ANN)
        (address,) = (each for each in asked if "/auth/login" in each)
        answer = next(each for each in asked if "/oauth2callback?" in each)
    path = address.removeprefix(f"{place.url}/")
    for who in (*SPOILT, "of-another-key", "of-no-secret"):
        with visiting(browser, place, who, path) as page:
            assert not signed_in(page), who
            assert urlsplit(page.url)[:3] == urlsplit(f"{place.url}/")[:3]
    # Neither somebody else's way back nor a cookie that was changed.
    with visiting(browser, place, BOB) as page:
        page.goto(answer)
        assert not signed_in(page)
        page.goto(address)
        assert signed_in(page)
        (cookie,) = (each for each in page.context.cookies() if each["name"] == COOKIE)
        cookie["value"] = cookie["value"][:-2] + ("aa" if cookie["value"][-2:] != "aa" else "bb")
        page.context.add_cookies([cookie])
        page.goto(place.url)
        button(page, "Sign in").wait_for()


@pytest.mark.slow
def test_a_run_that_goes_on_is_steered_by_who_started_it(browser: Any, place: Place) -> None:
    with visiting(browser, place, ANN) as ann, visiting(browser, place, BOB) as bob:
        sign_in(ann, ANN)
        button(ann, "Start").click()
        wait_until(lambda: any(info.active for info in runs.list_runs(place.root)), seconds=LONG)
        (info,) = (info for info in runs.list_runs(place.root) if info.active)
        assert info.owner == ANN
        sign_in(bob, BOB)
        bob.goto(f"{place.url}/?run={info.run_id}")
        told = f"{info.run_id} belongs to {ANN}"
        wait_until(lambda: told in said(bob), seconds=LONG)
        assert button(bob, "Stop").is_disabled() and button(bob, "Pause").is_disabled()
        wait_until(lambda: runs.info(place.root, info.run_id).iteration > 0, seconds=LONG)
        button(ann, "Stop").click()
        wait_until(
            lambda: runs.info(place.root, info.run_id).status == RunStatus.STOPPED, seconds=LONG
        )
    runs.delete_runs(place.root, [info.run_id])
