# Every chore, by name. `make help` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
STACK ?= dev
# Of the chaos suite: the seeds of its runs, and how long each lasts.
SEED ?= 1
MINUTES ?= 2
# More options of it: CHAOS="--only poison".
CHAOS ?=
ORDERFLOW := target/debug/orderflow

.PHONY: help run test chaos chaos-planted test-clients check fmt schema web build stack-up stack-down stack-wipe

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

run: stack-up web build ## Bring everything up, load the demo shop, and serve in development mode
	@eval "$$(scripts/stack env $(STACK))" && $(ORDERFLOW) migrate && $(ORDERFLOW) demo --if-empty && exec $(ORDERFLOW) serve --dev

test: ## Run all tests, on a stack of their own
	@scripts/test

chaos: web ## Faults under load, and a ledger: make chaos SEED=7 MINUTES=30 (SEED="1 2 3" are three runs)
	@for seed in $(SEED); do cargo test --test chaos -- --seed $$seed --minutes $(MINUTES) $(CHAOS) || exit 1; done

chaos-planted: web ## Plant one known bug after the other: each must turn the chaos suite red
	@cargo test --test chaos -- --seed $(firstword $(SEED)) --minutes $(MINUTES) --prove

test-clients: build ## Run other people's GraphQL clients and tools against the server
	@scripts/clients

check: web ## Formatting, lints, and each half compiled without the other
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo check --no-default-features --features command
	cargo check --no-default-features --features query

schema: build ## Write schema.graphql anew
	$(ORDERFLOW) schema > schema.graphql

build: web
	cargo build

web: ## Build the explorer page, when Node.js is there or can be had
	@scripts/web

fmt: ## Format the code
	cargo fmt --all

stack-up: ## Start PostgreSQL, RabbitMQ and MongoDB for development
	@scripts/stack up $(STACK)

stack-down: ## Stop them
	@scripts/stack down $(STACK)

stack-wipe: ## Stop them and forget their data
	@scripts/stack wipe $(STACK)
