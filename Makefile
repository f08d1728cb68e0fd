# Few verbs; what they do is said beside them and printed by `make help`. Everything is also a script or a go command.

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/batchbox and bin/test-runner
	scripts/build.sh

.PHONY: test
test: ## Run all tests
	scripts/test.sh

.PHONY: race
race: ## Run all tests with the race detector
	scripts/test.sh -race

.PHONY: lint
lint: ## Run the linters: golangci-lint, go vet on every platform, shellcheck
	.ci/lint

.PHONY: sim
sim: ## Simulate the engine under a random load with faults: a million jobs (SEED=n begins elsewhere)
	BATCHBOX_SIM_WORKS=1000000 BATCHBOX_SIM_SEED=$(SEED) go test -run TestSimulation -count=1 -timeout 2h -v ./internal/sim

.PHONY: e2e
e2e: ## Run the main job from nothing to nothing
	scripts/run-e2e.sh

.PHONY: terraform
terraform: ## Apply, change, import and destroy stacks in an engine with the real AWS provider of Terraform
	BATCHBOX_TERRAFORM=1 go test -count=1 -v -timeout 60m ./tests/terraform
	BATCHBOX_TERRAFORM=1 go test -count=1 -v -timeout 60m -run TestAWSTarget ./scripts

.PHONY: crash
crash: build ## Kill engine and supervisor 200 times, under each runtime, over arrays of 1,000 jobs
	BATCHBOX_CRASH_KILLS=200 BATCHBOX_CRASH_CHILDREN=1000 BATCHBOX_CRASH_PROGRAM=$(CURDIR)/bin/batchbox \
		go test -count=1 -v -timeout 60m -run TestKill ./tests/crash

.PHONY: bench
bench: ## Measure, and print the figures of docs/performance.md
	scripts/bench.sh

.PHONY: ci
ci: ## Do all that CI does (installs Debian packages)
	.ci/run
