# auditdeck: `make help` lists what can be done.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv/bin
SECONDS ?=
DURATION ?= 1800
DATA_DIR ?= /var/lib/auditdeck

.PHONY: help setup run report demo up down password alert ca enroll hosts test soak bench check mutations format lock tables wheel licences sbom clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## a virtual environment with the locked dependencies
	@scripts/setup.sh

run: setup ## collect from this host's kernel until Ctrl-C (or SECONDS=30), then show the report
	@$(VENV)/auditdeck run --data-dir $(DATA_DIR) --report $(if $(SECONDS),--seconds $(SECONDS))

report: setup ## the two answers, from what was collected
	@$(VENV)/auditdeck report --data-dir $(DATA_DIR)

up: ## the full stack by docker compose: Elasticsearch, Kibana, collector (STACK=official or stand-in)
	@scripts/up.sh

down: ## stop the stack; its data stays
	@docker compose down

password: ## the password of the user elastic
	@docker compose run --rm --no-deps --quiet-pull --entrypoint cat init /secrets/init/elastic_password

demo: setup ## harmless traffic by several users and programs, for the dashboards (as root, while a collector runs)
	@scripts/apt-install.sh iproute2
	@$(VENV)/python scripts/demo.py

enroll: ## a token by which other hosts join the stack (HOSTS=1, EXPIRES=24h)
	@docker compose run --rm --no-deps --quiet-pull init enroll --hosts $(or $(HOSTS),1) --expires $(or $(EXPIRES),24h)

hosts: ## the hosts of the stack, and when they last reported
	@docker compose run --rm --no-deps --quiet-pull init hosts

alert: ## enable an alert rule: make alert NAME=silent-collector (kibana/alerts/)
	@docker compose run --rm --no-deps --quiet-pull init provision --enable-alert "$(NAME)"

ca: ## the certificate of the stack's authority
	@docker compose run --rm --no-deps --quiet-pull --entrypoint cat init /secrets/init/ca.crt

test: setup ## everything: unit tests, a browser, the real kernel, the peers
	@scripts/apt-install.sh auditd chromium clang fonts-dejavu-core gcc iproute2 iptables libc6-dev libclang-rt-dev $(if $(filter x86_64,$(shell uname -m)),gcc-multilib)
	@scripts/setup.sh
	@$(VENV)/pytest

soak: setup ## long, as root: fuzzing (each parser DURATION seconds), kill -9 at 100 moments, one rate for DURATION seconds
	@scripts/apt-install.sh clang gcc iproute2 iptables libc6-dev libclang-rt-dev
	@FUZZ_SECONDS=$(DURATION) FUZZ_FOLDER=.soak $(VENV)/pytest -s tests/fuzz
	@KILLS=100 RATE=5000 $(VENV)/pytest tests/kernel/test_crash.py
	@$(VENV)/python -m bench.steady $(DURATION) 10000

bench: setup ## measure beside other collectors (QUICK=1: fewer and smaller loads); what is missing is said
	@scripts/apt-install.sh auditd laurel gcc iproute2 iptables libc6-dev util-linux
	@scripts/setup.sh
	@$(VENV)/python -m bench.live $(if $(QUICK),--quick --repeat 3)
	@$(if $(QUICK),,$(VENV)/python -m bench.live --forms --only "connect 5,000")
	@$(VENV)/python -m bench.connections $(if $(QUICK),--quick --repeat 3)
	@$(VENV)/python -m bench.idle
	@$(VENV)/python -m bench.decode
	@$(VENV)/python -m bench.documents
	@$(VENV)/python -m bench.enrichment
	@$(VENV)/python -m bench.memory $(if $(QUICK),100000)
	@$(VENV)/python -m bench.report 1000000 10000000 $(if $(QUICK),,100000000)
	@$(if $(QUICK),,$(VENV)/python -m bench.rates)
	@$(if $(QUICK),,$(VENV)/python -m bench.elasticsearch)

check: setup ## the quick one: format, lint, types, unit tests
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@$(VENV)/pytest -q -n auto --dist worksteal tests/unit

mutations: setup ## whether make check notices 45 small faults (half an hour)
	@$(VENV)/python scripts/mutations.py

format: setup ## put the code into shape
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

lock: ## renew requirements/*.lock from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --extra containers --extra html --extra metrics --extra stack --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements/runtime.lock
	@uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements/dev.lock
	@uv pip compile --group build --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements/build.lock

tables: setup ## renew the generated kernel tables from Debian's kernel headers
	@scripts/apt-install.sh linux-libc-dev libaudit-dev linux-libc-dev-arm64-cross linux-libc-dev-armhf-cross linux-libc-dev-i386-cross
	@$(VENV)/python scripts/generate_tables.py

wheel: setup ## the wheel and its source, in dist/: the same bytes from the same commit
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(VENV)/hatchling build -d dist

licences: setup ## renew THIRD-PARTY.md; says which licence is unknown, or not allowed
	@$(VENV)/python scripts/third_party.py

sbom: ## what is in the image, as CycloneDX
	@docker compose run --rm --no-deps --quiet-pull --entrypoint cat init /opt/auditdeck/auditdeck.cdx.json

clean: ## remove the virtual environment and caches
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
