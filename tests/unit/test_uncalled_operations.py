"""Calls of AWS that no test makes are listed with file, line and operation."""

from pathlib import Path

from tests.support.uncalled_operations import uncalled

CODE = """def act(sqs, table):
    sqs.send_message(
        QueueUrl="q",
        MessageBody="m",
    )
    table.act()
    sqs.delete_message(QueueUrl="q", ReceiptHandle="r")
"""


def test_a_call_is_made_when_one_of_its_lines_was_executed(tmp_path: Path) -> None:
    for folder in ("functions", "deploy", "operate", "console"):
        (tmp_path / folder).mkdir()
    (tmp_path / "console" / "act.py").write_text(CODE)
    every = ["console/act.py:2: send_message", "console/act.py:7: delete_message"]
    assert list(uncalled(set(), tmp_path)) == every
    assert list(uncalled({("console/act.py", 4)}, tmp_path)) == every[1:]
