# TARGET=local (the default) is the embedded AWS, started when it is not running; TARGET=aws is the account of the
# current AWS credentials. STAGE names the deployment, dev unless said otherwise.
export TARGET ?= local
export STAGE ?= dev
export SAGEMAKER_SUPPRESS_V2_WARNING := 1
export PYTHONUNBUFFERED := 1

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

# A variable as the user wrote it, quoted for the shell: a path may hold spaces, quotes and dollar signs.
quoted = '$(subst ','\'',$(value $(1)))'

.DEFAULT_GOAL := help
.PHONY: help setup redrive rollback status threshold bench demo test deploy destroy retrain upload review evaluate pretrain stage up credentials down lint asl

help:  ## list the commands
	@echo "Scones Unlimited, vehicle router. TARGET=$(TARGET) STAGE=$(STAGE)"
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(READY)  ## install everything into .venv

$(READY): requirements.txt constraints.txt
	@echo "Setting up $(VENV), once: about a minute and 1.1 GB"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed, $(PYTHON) is $$($(PYTHON) --version). Pass PYTHON=<a later one>."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt 2> $(VENV)/setup.log \
		| awk '/^Collecting/ { printf "\r  %3d packages: %-40s", ++n, $$2; fflush() } /^Installing/ { printf "\r  installing %d packages %-40s\n", n, ""; fflush() }' \
		|| { cat $(VENV)/setup.log; echo "Installing failed; the lines above say why. Then: make setup"; exit 1; }
	@touch $@

demo: $(READY)  ## the main job, from nothing: deploy, train, upload photos, show what became of each
	@$(PY) -m operate demo

test: $(READY)  ## every test
	@$(PY) -m pytest $(ARGS)

deploy: $(READY)  ## create or update the stack; a new stage gets the initial model
	@$(PY) -m deploy deploy
	@$(PY) -m operate initial-model

destroy: $(READY)  ## remove the stack; photos, models, labels and decisions only with DATA=yes
	@$(PY) -m deploy destroy $(if $(filter yes,$(DATA)),--data)

stage: $(READY)  ## bring the training data into build/data
	@$(PY) -m operate.stage_data --out build/data $(if $(filter yes,$(FORCE)),--without-other)

retrain: $(READY)  ## train, compare and promote a model, followed state by state
	@$(PY) -m operate retrain $(if $(filter yes,$(FORCE)),--force) $(if $(filter yes,$(DRY_RUN)),--dry-run) $(if $(CLASSES),--classes "$(CLASSES)")

rollback: $(READY)  ## put the previous model back, followed state by state; TO=<model>: another one; REASON="…"
	@$(PY) -m operate rollback $(if $(TO),--to "$(TO)") $(if $(REASON),--reason "$(REASON)")

status: $(READY)  ## what runs, what waits, who is champion and where it comes from
	@$(PY) -m operate status

threshold: $(READY)  ## what the champion's threshold means in reviews and wrong answers; AT=<value>: what another would
	@$(PY) -m operate threshold $(if $(AT),--at "$(AT)")

upload: $(READY)  ## PHOTOS=<file or folder>: upload, follow, print each decision
	@test -n $(call quoted,PHOTOS) || { echo 'Which photos? make upload PHOTOS=<file or folder>'; exit 1; }
	@$(PY) -m operate upload -- $(call quoted,PHOTOS)

bench: $(READY)  ## latency, throughput and memory, each beside its baseline: build/reports/bench.json
	@$(PY) -m operate bench

evaluate: $(READY)  ## PHOTOS=<folder of class folders>: the champion on those photos
	@test -n $(call quoted,PHOTOS) || { echo 'Which photos? make evaluate PHOTOS=<folder of class folders>'; exit 1; }
	@$(PY) -m operate evaluate -- $(call quoted,PHOTOS)

review: $(READY)  ## the reviewers' console on 127.0.0.1:8080 (REVIEW_PORT); PLAIN=1: in the terminal
	@$(PY) -m console $(if $(PLAIN),--plain)

redrive: $(READY)  ## send review requests that nobody could open back to the reviewers
	@$(PY) -m console.redrive

pretrain: stage  ## make the backbone again from ImageNet's weights: installs PyTorch, then ten minutes
	@$(PY) -m pip install --disable-pip-version-check --quiet -r requirements-pretrain.txt
	@$(PY) -m training.research.pretrain --data build/data/train

up: $(READY)  ## start the embedded AWS alone
	@$(PY) -m local up

credentials:  ## print shell exports with which other clients, such as the AWS CLI, use it
	@test -x $(PY) || { echo "Nothing is installed yet. Run: make up" >&2; exit 1; }
	@$(PY) -m local credentials

down: $(READY)  ## stop the embedded AWS and everything it started
	@$(PY) -m local down

asl: $(READY)  ## render the workflows again after changing them
	@$(PY) -m workflows

lint: $(READY)  ## ruff, types, CloudFormation, the workflows as graphs
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(PY) -m deploy render build/templates > /dev/null
	@$(VENV)/bin/cfn-lint build/templates/*.template.json
	@$(PY) -m workflows --check
