"""The figures of the study on disk."""

from dataclasses import replace

import numpy as np

from training.classifier import Recipe
from training.metrics import at_threshold
from training.research.fingerprint import fingerprint
from training.research.study_report import read_runs, summarise, to_markdown, write_report

RUNS = {0: {"street": {"accuracy": 0.98, "decided": 1.0}}}


def test_the_table_shows_the_mean_and_every_seed():
    run = {"street": {"accuracy": 0.98, "decided": at_threshold(np.eye(3), np.arange(3), 0.5).coverage}}
    other = {"street": {"accuracy": 0.96, "decided": 1.0}}
    shown = to_markdown(summarise({0: run, 1: other}))
    assert "0.970 (0.980 0.960)" in shown


def test_figures_are_kept_for_the_same_recipe(tmp_path):
    write_report(tmp_path, RUNS, fingerprint(Recipe()), "backbone")
    assert read_runs(tmp_path, fingerprint(Recipe())) == RUNS


def test_figures_of_an_edited_recipe_are_not_published_again(tmp_path):
    write_report(tmp_path, RUNS, fingerprint(Recipe()), "backbone")
    edited = replace(Recipe(), l2_penalty=Recipe().l2_penalty / 2)
    assert read_runs(tmp_path, fingerprint(edited)) == {}


def test_without_earlier_figures_there_are_no_runs(tmp_path):
    assert read_runs(tmp_path, fingerprint(Recipe())) == {}
