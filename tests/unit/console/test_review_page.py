"""The API of the Review page."""

from deploy.outputs import Deployed
from tests.unit import model_stage
from tests.unit.console.browser_client import TAB, BrowserClient
from tests.unit.console.review_requests import FakeAws, labels, send

OTHER_TAB = "1" * 32


def test_a_tab_takes_a_request_answers_it_undoes_the_answer_and_answers_again(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with BrowserClient(stage, FakeAws(), undo_s=60) as browser:
        taken = browser.post("/api/take", tab=TAB).json()
        (request,) = taken["leased"]
        assert (request["photo_id"], request["reason"]) == (
            photo_id,
            "The confidence is below the threshold.",
        )
        assert (taken["figures"]["leased"], taken["figures"]["dead"]) == (1, 0)
        answered = browser.post("/api/answer", tab=TAB, id=request["id"], vehicle="motorcycle").json()
        assert answered["leased"] == []
        assert [one["vehicle"] for one in answered["undoable"]] == ["motorcycle"]
        undone = browser.post("/api/undo", tab=TAB).json()
        assert undone["undone"] is True
        assert [one["id"] for one in undone["leased"]] == [request["id"]]
        browser.post("/api/answer", tab=TAB, id=request["id"], vehicle="bicycle")
    assert labels(stage)[photo_id]["vehicle"] == "bicycle"


def test_a_tab_in_blind_mode_gets_no_prediction_and_the_label_says_so(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with BrowserClient(stage, FakeAws()) as browser:
        taken = browser.post("/api/take", tab=TAB, blind=True)
        (request,) = taken.json()["leased"]
        assert (request["blind"], request["audit"]) == (True, False)
        assert not any(request[name] for name in ("vehicle", "confidence", "probabilities", "threshold"))
        assert "bicycle" not in taken.text
        browser.post("/api/answer", tab=TAB, blind=True, id=request["id"], vehicle="motorcycle")
    assert labels(stage)[photo_id]["blind"] is True


def test_who_saw_the_prediction_before_changing_to_blind_mode_does_not_answer_blind(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with BrowserClient(stage, FakeAws()) as browser:
        (request,) = browser.post("/api/take", tab=TAB).json()["leased"]
        assert request["vehicle"] == "bicycle"
        (hidden,) = browser.post("/api/take", tab=TAB, blind=True).json()["leased"]
        assert hidden["vehicle"] is None
        browser.post("/api/answer", tab=TAB, blind=True, id=request["id"], vehicle="motorcycle")
    assert labels(stage)[photo_id]["blind"] is False


def test_a_tab_takes_a_chosen_photo_and_hides_no_prediction_that_was_seen_before(stage: Deployed) -> None:
    for number in range(4):
        photo_id = send(stage, number)
    with BrowserClient(stage, FakeAws()) as browser:
        taken = browser.post("/api/take", tab=TAB, blind=True, photo=photo_id).json()
        assert taken["not_chosen"] is None
        first = taken["leased"][0]
        assert (first["photo_id"], first["vehicle"]) == (photo_id, None)
        browser.post("/api/answer", tab=TAB, blind=True, id=first["id"], vehicle="bicycle")
    assert labels(stage)[photo_id]["blind"] is False


def test_a_photo_that_cannot_be_chosen_is_said_to_be_and_the_tab_goes_on(stage: Deployed) -> None:
    open_elsewhere = send(stage, 1)
    model_stage.decided(2, 0.97)
    with BrowserClient(stage, FakeAws()) as browser:
        browser.post("/api/take", tab=TAB)
        other = send(stage, 3)
        for photo_id, words in (
            (open_elsewhere, "Somebody has this photo open"),
            (model_stage.photo(2).photo_id, "does not wait for a reviewer. Sent to Bay A."),
            ("f" * 32, "This photo is unknown"),
        ):
            taken = browser.post("/api/take", tab=OTHER_TAB, photo=photo_id).json()
            assert words in taken["not_chosen"]
            assert [one["photo_id"] for one in taken["leased"]] == [other]
        assert browser.post("/api/take", tab=OTHER_TAB, photo="../etc").status_code == 422


def test_only_the_photo_on_the_screen_has_a_prediction(stage: Deployed) -> None:
    ids = {send(stage, 1), send(stage, 2)}
    with BrowserClient(stage, FakeAws()) as browser:
        first, following = browser.post("/api/take", tab=TAB).json()["leased"]
        assert (first["vehicle"], following["vehicle"]) == ("bicycle", None)
        browser.post("/api/answer", tab=TAB, id=first["id"], vehicle="other")
        browser.post("/api/take", tab=TAB, blind=True)
        browser.post("/api/answer", tab=TAB, blind=True, id=following["id"], vehicle="other")
    assert {photo_id: label["blind"] for photo_id, label in labels(stage).items()} == {
        first["photo_id"]: False,
        following["photo_id"]: False,
    }
    assert set(labels(stage)) == ids


def test_no_response_has_a_task_token(stage: Deployed) -> None:
    send(stage, 1)
    with BrowserClient(stage, FakeAws()) as browser:
        assert "token-1" not in browser.post("/api/take", tab=TAB).text


def test_an_answer_to_a_request_that_the_tab_does_not_hold_is_a_conflict(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws()) as browser:
        response = browser.post("/api/answer", tab=TAB, id="unknown", vehicle="bicycle")
        assert response.status_code == 409
        assert "no longer yours" in response.json()["detail"]
        assert browser.post("/api/skip", tab=TAB, id="unknown").status_code == 409


def test_an_answer_that_is_not_configured_is_unprocessable(stage: Deployed) -> None:
    send(stage, 1)
    with BrowserClient(stage, FakeAws()) as browser:
        (request,) = browser.post("/api/take", tab=TAB).json()["leased"]
        response = browser.post("/api/answer", tab=TAB, id=request["id"], vehicle="spaceship")
    assert response.status_code == 422


def test_an_invalid_tab_identifier_is_unprocessable(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws()) as browser:
        assert browser.post("/api/take", tab="any").status_code == 422


def test_a_closed_tab_gives_its_request_to_the_next_one(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with BrowserClient(stage, FakeAws()) as browser:
        browser.post("/api/take", tab=TAB)
        assert browser.post("/api/take", tab=OTHER_TAB).json()["leased"] == []
        browser.post("/api/close-session", tab=TAB)
        (request,) = browser.post("/api/take", tab=OTHER_TAB).json()["leased"]
    assert request["photo_id"] == photo_id


def test_the_name_of_a_reviewer_is_kept_in_a_cookie(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws()) as browser:
        assert browser.post("/api/reviewer", name="Zoë O'Hara").json() == {"reviewer": "Zoë O'Hara"}
        assert "Zoë O&#39;Hara" in browser.get("/").text
        assert browser.post("/api/reviewer", name="<script>").status_code == 422
