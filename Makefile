# TARGET=local (the default) is the embedded AWS, which the commands start when needed; TARGET=aws is the account of the
# current AWS credentials. STAGE names the deployment; the default is dev.
#
# Works with GNU make 3.81, the version of macOS: .SHELLFLAGS and .ONESHELL have no effect there, so a recipe with a
# pipe sets pipefail itself. Paths are relative, because make splits a path that contains a space.
TARGET ?= local
STAGE ?= dev
export TARGET STAGE
export SAGEMAKER_SUPPRESS_V2_WARNING := 1
export PYTHONUNBUFFERED := 1

SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
TOOLS := build/tools
CHECKOV := build/checkov
LOCKED := requirements requirements-pretrain requirements-tools requirements-checkov functions/requirements container/requirements console/requirements
# --no-build-isolation: a package without a wheel is built with the setuptools of the lock file, not with the newest one.
INSTALL_LOCKED := -m pip install --disable-pip-version-check --require-hashes --no-build-isolation

# A variable quoted for the shell: a path may contain spaces, quotes and dollar signs.
quoted = '$(subst ','\'',$(value $(1)))'

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage rehearse deploy destroy people console stage retrain rollback repair promote reference status report threshold \
	upload batch backtest bench load cost evaluate review redrive reconcile test-event forget restore torture pretrain image up credentials down \
	asl screenshots format lint lock audit sbom scan simulate-audit simulate-drift simulate-scale alarms openapi contract

help:  ## list the commands
	@echo "Scones Unlimited, vehicle router. TARGET=$(TARGET) STAGE=$(STAGE)"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(READY)  ## install everything into .venv

$(READY): requirements.lock
	@echo "Setting up $(VENV), once: about two minutes and 1.2 GB"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed, $(PYTHON) is $$($(PYTHON) --version). Pass PYTHON=<a later one>."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@set -o pipefail; \
		{ awk '/^[^ #]/ { found = /^setuptools==/ } found' requirements.lock > $(VENV)/setuptools.lock \
			&& $(PY) $(INSTALL_LOCKED) --quiet -r $(VENV)/setuptools.lock \
			&& $(PY) $(INSTALL_LOCKED) --progress-bar off -r requirements.lock; } 2> $(VENV)/setup.log \
		| awk '/^Collecting/ { printf "\r  %3d packages: %-40s", ++n, $$2; fflush() } /^Installing/ { printf "\r  installing %d packages %-40s\n", n, ""; fflush() }' \
		|| { cat $(VENV)/setup.log; echo "The installation failed; the lines above show the reason. Repeat it with: make setup"; exit 1; }
	@touch $@

demo: $(READY)  ## deploy, train, upload photos and show each outcome
	@$(PY) -m operate demo

screenshots: $(READY)  ## the pictures of the console in docs/
	@SCREENSHOTS=docs $(PY) -m pytest tests/browser/test_screenshots.py -q

test: $(READY)  ## every test; ARGS="tests/unit -q": a part
	@$(PY) -m $(if $(ARGS),pytest $(ARGS),tests)

coverage: $(READY)  ## every test, and which lines and branches they run; takes 1.5 times as long
	@$(PY) -m tests --coverage

rehearse: $(READY)  ## walk through deployments, failures and removals on AWS, in an account in this process
	@$(PY) -m pytest -q tests/unit/deploy/test_plan.py tests/unit/deploy/test_rehearsal.py tests/unit/deploy/test_protection.py tests/unit/deploy/test_deployer.py

torture: $(READY)  ## the long tests: faults, hostile files, random inputs, a large batch; SUITE=faults, files, contracts or batch: one of them
	@$(PY) -m tests.torture $(SUITE)

deploy: $(READY)  ## create or update the stack; deploy the initial model to a new stage; DRY=1: only print the changes; YES=1: do not ask; DETAILS=yes: every step
	@$(PY) -m deploy deploy $(if $(filter 1 yes,$(DRY)),--dry-run) $(if $(filter 1 yes,$(YES)),--yes) $(if $(filter 1 yes,$(DETAILS)),--details)
	@$(if $(filter 1 yes,$(DRY)),:,$(PY) -m operate initial-model)

destroy: $(READY)  ## remove the stack; photos, records, models and labels only with DATA=yes
	@$(PY) -m deploy destroy $(if $(filter yes,$(DATA)),--data)

people: $(READY)  ## create or update the policies for people, which needs an administrator; REMOVE=yes: remove them
	@$(PY) -m deploy people $(if $(filter yes,$(REMOVE)),--remove) $(if $(filter 1 yes,$(YES)),--yes)

console: $(READY)  ## the console behind a load balancer that signs people in, on AWS: docs/console-hosting.md; REMOVE=yes: remove it
	@$(PY) -m deploy console $(if $(filter yes,$(REMOVE)),--remove) $(if $(filter 1 yes,$(YES)),--yes)

stage: $(READY)  ## copy the training data to build/data
	@$(PY) -m operate.stage_data --out build/data $(if $(filter yes,$(FORCE)),--without-other)

retrain: $(READY)  ## train, compare and promote a model, followed state by state
	@$(PY) -m operate retrain $(if $(filter yes,$(FORCE)),--force) $(if $(filter yes,$(DRY_RUN)),--dry-run) $(if $(CLASSES),--classes "$(CLASSES)")

rollback: $(READY)  ## restore the previous model, followed state by state; TO=<model or the end of its name>: another one; REASON="…"
	@$(PY) -m operate rollback $(if $(TO),--to "$(TO)") $(if $(REASON),--reason "$(REASON)")

repair: $(READY)  ## put the endpoint of the champion back when it is gone, failed or serves another model
	@$(PY) -m operate repair

promote: $(READY)  ## FROM=<stage>: bring its approved champion to STAGE, which compares it with its own
	@test -n "$(FROM)" || { echo 'FROM is not set. Run: make promote FROM=dev STAGE=prod'; exit 1; }
	@$(PY) -m operate promote -- "$(FROM)"

reference: $(READY)  ## the model that challengers are compared with beside the champion; MODEL=<version or champion>: replace it
	@$(PY) -m operate reference $(if $(MODEL),--model "$(MODEL)")

status: $(READY)  ## what is so and what to do, the champion and its parent, the settings; JSON=yes: for other programs
	@$(PY) -m operate status $(if $(filter yes,$(JSON)),--json)

report: $(READY)  ## confidence, reviews, errors, drift and models of the last 28 days (DAYS=<n>): build/reports/<stage>-<time>/
	@$(PY) -m operate report $(if $(DAYS),--days "$(DAYS)")

threshold: $(READY)  ## reviews and errors at the champion's threshold; AT=<value>: at another one
	@$(PY) -m operate threshold $(if $(AT),--at "$(AT)")

upload: $(READY)  ## PHOTOS=<file or folder>: upload, follow, print each decision
	@test -n $(call quoted,PHOTOS) || { echo 'PHOTOS is not set. Run: make upload PHOTOS=<file or folder>'; exit 1; }
	@$(PY) -m operate upload -- $(call quoted,PHOTOS)

batch: $(READY)  ## PHOTOS=<folder or s3://…>: classify many photos, decide none; BATCH=<id>: another batch of the same photos; REVIEW=yes: reviewers label unsure ones
	@test -n $(call quoted,PHOTOS) || { echo 'PHOTOS is not set. Run: make batch PHOTOS=<folder or s3://…>'; exit 1; }
	@$(PY) -m operate batch $(if $(BATCH),--batch $(call quoted,BATCH)) $(if $(filter yes,$(REVIEW)),--review) -- $(call quoted,PHOTOS)

backtest: $(READY)  ## MODEL=<name or s3://…/model.tar.gz>: what it would have decided about past photos; DAYS=<n>, AT=<threshold>, MOST=<photos>
	@test -n $(call quoted,MODEL) || { echo 'MODEL is not set. Run: make backtest MODEL=<name of a model, also a rejected one>'; exit 1; }
	@$(PY) -m operate backtest $(if $(DAYS),--days "$(DAYS)") $(if $(AT),--at "$(AT)") $(if $(MOST),--most "$(MOST)") -- $(call quoted,MODEL)

bench: $(READY)  ## speed, memory, sizes, each with a baseline; BURST=<n>: photos sent at once; PHOTOS=<folder>: JPEGs; PAGES=yes: only the console
	@$(PY) -m operate bench $(if $(filter yes,$(PAGES)),--pages) $(if $(BURST),--burst "$(BURST)") $(if $(PHOTOS),--photos $(call quoted,PHOTOS))

load: $(READY)  ## RATE=<photos/s> COUNT=<n>: a stream of generated photos; BURST=<n>: photos sent at once; FLOOD=<n>: by one driver, and the delay of others
	@$(PY) -m operate load $(if $(RATE),--rate "$(RATE)") $(if $(COUNT),--count "$(COUNT)") $(if $(BURST),--burst "$(BURST)") $(if $(FLOOD),--flood "$(FLOOD)") $(if $(filter yes,$(YES)),--yes)

simulate-drift: $(READY)  ## PHOTOS=<folder of class folders>: false alarms and delays of the drift watch, in simulated years
	@$(PY) -m benchmarks.drift $(if $(PHOTOS),--photos $(call quoted,PHOTOS)) $(if $(YEARS),--years "$(YEARS)")

simulate-scale: $(READY)  ## waits, instances, reviewers and the first limit from 1,000 to 10,000,000 photos a day; CHECK=yes: compare with the embedded AWS
	@$(PY) -m benchmarks.$(if $(filter yes,$(CHECK)),scale_check,scale)

cost: $(READY)  ## PHOTOS_PER_DAY=<n>: cost of each month by part, quotas, the usual design; SHARES=reviewer=0.05,…: of the outcomes
	@test -n "$(PHOTOS_PER_DAY)" || { echo 'PHOTOS_PER_DAY is not set. Run: make cost PHOTOS_PER_DAY=100000'; exit 1; }
	@$(PY) -m operate cost $(if $(SHARES),--shares "$(SHARES)") -- "$(PHOTOS_PER_DAY)"

simulate-audit: $(READY)  ## how often the interval of the audit contains the error, and its cost in reviews
	@$(PY) -m benchmarks.audit_interval

evaluate: $(READY)  ## PHOTOS=<folder of class folders>: evaluate the champion on those photos
	@test -n $(call quoted,PHOTOS) || { echo 'PHOTOS is not set. Run: make evaluate PHOTOS=<folder of class folders>'; exit 1; }
	@$(PY) -m operate evaluate -- $(call quoted,PHOTOS)

review: $(READY)  ## the reviewers' console on 127.0.0.1:8080 (REVIEW_PORT); REVIEWER=<name>; PLAIN=1: in the terminal (BLIND=yes: without predictions); ROLE=operator: with the buttons of operators; POLICY=yes: print the IAM policy of reviewers
	@$(PY) -m console $(if $(PLAIN),--plain) $(if $(filter yes,$(BLIND)),--blind) $(if $(filter operator,$(ROLE)),--operator) $(if $(filter yes,$(POLICY)),--policy)

redrive: $(READY)  ## replay failed photos and review requests; LIST=yes: only list; ID=<message>: one; DROP=<message>: remove one
	@$(PY) -m operate redrive $(if $(filter yes,$(LIST)),--list) $(if $(ID),--id $(call quoted,ID)) $(if $(DROP),--drop $(call quoted,DROP)) $(if $(filter yes,$(FORCE)),--force)

reconcile: $(READY)  ## account for every upload: restart, announce, name; HOURS=<n>: newer uploads only; FORCE=yes: restart again
	@$(PY) -m operate reconcile $(if $(HOURS),--hours "$(HOURS)") $(if $(GRACE_S),--grace "$(GRACE_S)") $(if $(filter yes,$(FORCE)),--force)

test-event: $(READY)  ## EVENT="Driver Routed": send its sample to the rules of other teams that have the source scones.vehicles.test
	@test -n "$(EVENT)" || { echo 'EVENT is not set. Run: make test-event EVENT="Driver Routed"'; exit 1; }
	@$(PY) -m operate test-event -- $(call quoted,EVENT)

forget: $(READY)  ## DRIVER=<id> or PHOTO=<id or s3://…>: show every copy of the photos; YES=yes: delete them
	@$(PY) -m operate forget $(if $(value PHOTO),--photo=$(call quoted,PHOTO)) $(if $(value DRIVER),--driver=$(call quoted,DRIVER)) $(if $(filter yes,$(YES)),--yes)

restore: $(READY)  ## FROM=<table of point-in-time recovery>: copy the records or models that the stage has lost
	@test -n "$(FROM)" || { echo 'FROM is not set. docs/restore.md has every step.'; exit 1; }
	@$(PY) -m operate restore -- "$(FROM)"

pretrain: stage  ## rebuild the backbone from ImageNet weights: installs PyTorch, then takes ten minutes
	@$(PY) $(INSTALL_LOCKED) --quiet -r requirements-pretrain.lock
	@$(PY) -m pip install --disable-pip-version-check --quiet -r requirements-torch.txt
	@$(PY) -m training.research.pretrain --data build/data/train

image: $(READY)  ## build the image of jobs and endpoints with Docker or Podman, from the files that `make deploy` uploads
	@$(PY) -m deploy image

up: $(READY)  ## start the embedded AWS only, with the state of the last stop
	@$(PY) -m local up

credentials:  ## print shell exports for other clients of the embedded AWS, such as the AWS CLI
	@test -x $(PY) || { echo "Nothing is installed yet. Run: make up" >&2; exit 1; }
	@$(PY) -m local credentials

down: $(READY)  ## stop the embedded AWS and keep its state; DATA=yes: forget it
	@$(PY) -m local down $(if $(filter yes,$(DATA)),--data)

asl: $(READY)  ## render the workflows after a change
	@$(PY) -m workflows

contract: $(READY)  ## publish the schemas for other teams, events/published/, unless one breaks what was published
	@$(PY) -m events.publish

openapi: $(READY)  ## write docs/driver-api.json, the OpenAPI document of the drivers' API
	@$(PY) -m deploy openapi > docs/driver-api.json

alarms: $(READY)  ## write docs/alarms.md from deploy/templates/alarms.yaml
	@$(PY) -m deploy alarms > docs/alarms.md

format: $(READY)  ## format the code and fix what ruff can fix
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .

lint: $(READY)  ## ruff, names, types, CloudFormation, the workflows as graphs
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(PY) -m tests.lint
	@$(VENV)/bin/mypy
	@$(PY) -m deploy render build/templates > /dev/null
	@$(VENV)/bin/cfn-lint build/templates/*.template.json docs/examples/stack.yaml
	@$(PY) -m workflows --check

$(CHECKOV)/.ready: requirements-checkov.lock
	@echo "Setting up $(CHECKOV), once: about one minute and 300 MB"
	@$(PYTHON) -m venv --clear $(CHECKOV)
	@$(CHECKOV)/bin/python $(INSTALL_LOCKED) --quiet -r requirements-checkov.lock
	@touch $@

scan: $(READY) $(CHECKOV)/.ready  ## insecure settings in templates, Dockerfile and GitHub workflows; accepted ones: .checkov.yaml
	@$(PY) -m deploy render build/templates > /dev/null
	@$(CHECKOV)/bin/checkov --config-file .checkov.yaml

$(TOOLS)/.ready: requirements-tools.lock
	@$(PYTHON) -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python $(INSTALL_LOCKED) --quiet -r requirements-tools.lock
	@touch $@

lock: $(TOOLS)/.ready  ## write the lock files after a change of a requirements file; UPGRADE=yes: newest dependencies
	@for name in $(LOCKED); do \
		UV_CUSTOM_COMPILE_COMMAND="make lock" $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 \
			--generate-hashes --fork-strategy fewest $(if $(filter yes,$(UPGRADE)),--upgrade) $$name.txt -o $$name.lock || exit 1; \
	done

audit: $(TOOLS)/.ready  ## look up known vulnerabilities of the locked packages, on the network
	@for name in $(LOCKED); do $(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes -r $$name.lock || failed=1; done; exit $${failed:-0}

sbom: $(READY) $(TOOLS)/.ready  ## build/reports/sbom-*.json: what is installed here, what is deployed (CycloneDX)
	@mkdir -p build/reports
	@$(TOOLS)/bin/cyclonedx-py environment --validate --output-reproducible -o build/reports/sbom-installed.json $(VENV)
	@$(TOOLS)/bin/cyclonedx-py requirements --validate --output-reproducible -o build/reports/sbom-functions.json functions/requirements.lock
	@$(TOOLS)/bin/cyclonedx-py requirements --validate --output-reproducible -o build/reports/sbom-image.json container/requirements.lock
