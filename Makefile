# Every chore, by name. `make help` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
STACK ?= dev
ORDERFLOW := target/debug/orderflow

.PHONY: help run test test-clients check fmt schema web build stack-up stack-down stack-wipe

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

run: stack-up web build ## Bring everything up, load the demo shop, and serve in development mode
	@eval "$$(scripts/stack env $(STACK))" && $(ORDERFLOW) migrate && $(ORDERFLOW) demo --if-empty && exec $(ORDERFLOW) serve --dev

test: ## Run all tests, on a stack of their own
	@scripts/test

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
