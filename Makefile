# make, make demo and make check set up what they need; see .ci/need.

SWIFT ?= swift
BUILD ?= .build
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
ONLY ?=
export SWIFT

TOOLS := sse-encode sse-decode stream-sample stream-batch ws-cat stream-serve
# What a tool becomes for a part of its work; nobody calls these by name.
PARTS := sse-decode-url
FUZZERS := fuzz-json fuzz-sse fuzz-gzip fuzz-roundtrip fuzz-websocket fuzz-handshake \
	fuzz-json-stream fuzz-request
RELEASE := $(abspath $(BUILD))/release
PYTHON := $(BUILD)/venv/bin/python
# Where bench.py keeps its corpora and looks for peers, whatever BUILD is.
PEERS := .build/bench/venv/bin/python
PAGES := $(wildcard man/*.1 man/*.7)

# Debian's fish does not look below /usr/local.
FISH ?= $(if $(filter /usr/local,$(PREFIX)),/etc/fish/completions,$(PREFIX)/share/fish/vendor_completions.d)

root := $(DESTDIR)$(PREFIX)
installed := $(addprefix $(root)/bin/,$(TOOLS)) \
	$(addprefix $(root)/libexec/streamutils/,$(PARTS)) \
	$(foreach page,$(PAGES),$(root)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	$(addprefix $(root)/share/bash-completion/completions/,$(TOOLS)) \
	$(addprefix $(root)/share/zsh/site-functions/_,$(TOOLS)) \
	$(addsuffix .fish,$(addprefix $(DESTDIR)$(FISH)/,$(TOOLS)))

.PHONY: all demo check soak conformance install uninstall bench fuzz format clean
.DELETE_ON_ERROR:

all:
	@.ci/need build
	$(SWIFT) build -c release --scratch-path $(BUILD)

demo: all
	@Tests/demo.sh $(RELEASE)

# Every test, side by side. The tool tests run the binaries that users get, static and optimised.
# ONLY=PATTERN runs what matches (SUITE, SUITE/PATTERN, or PATTERN in all of them), SEED=N repeats
# what is random.
check: all
	@.ci/need check
	@$(MAKE) --no-print-directory $(PYTHON)
	@python3 Tests/Check/check.py --tools $(RELEASE) --build $(BUILD) --python $(PYTHON) \
		--swift '$(SWIFT)' --only '$(ONLY)'

# All cases of the Autobahn suite for WebSocket, in some ten minutes.
conformance: all
	@.ci/need conformance
	@$(MAKE) --no-print-directory $(PYTHON)
	$(PYTHON) Tests/Conformance/run.py --tools $(RELEASE) --build $(BUILD) --set full

# stream-serve for ten minutes; SOAK="--seconds 60 --seed 1" for another run.
soak: all
	@.ci/need check
	@$(MAKE) --no-print-directory $(PYTHON)
	$(PYTHON) Tests/Soak/soak.py $(RELEASE) $(SOAK)

$(PYTHON): Tests/Interop/requirements.txt
	python3 -m venv $(BUILD)/venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Not `all`: `sudo make install` behind `make` must not build as root.
$(addprefix $(RELEASE)/,$(TOOLS) $(PARTS)):
	@$(MAKE) --no-print-directory all

install: $(addprefix $(RELEASE)/,$(TOOLS) $(PARTS))
	@.ci/need install
	install -d $(sort $(dir $(installed)))
	install -s -m 755 $(addprefix $(RELEASE)/,$(TOOLS)) $(root)/bin
	install -s -m 755 $(addprefix $(RELEASE)/,$(PARTS)) $(root)/libexec/streamutils
	for page in $(PAGES); do \
		install -m 644 $$page $(root)/share/man/man$${page##*.} || exit; \
	done
	for tool in $(TOOLS); do \
		install -m 644 completions/bash/$$tool $(root)/share/bash-completion/completions && \
		install -m 644 completions/zsh/_$$tool $(root)/share/zsh/site-functions && \
		install -m 644 completions/fish/$$tool.fish $(DESTDIR)$(FISH) \
		|| exit; \
	done

uninstall:
	rm -f $(installed)

# Stripped, as `make install` installs them: that is what starts and what takes memory.
bench:
	@.ci/need bench
	STREAMUTILS_BENCH=1 $(SWIFT) build -c release --scratch-path $(BUILD)
	@$(MAKE) --no-print-directory $(PEERS)
	install -D -s -t $(BUILD)/bench/tools $(addprefix $(RELEASE)/,$(TOOLS) $(PARTS) bench-json)
	python3 Tests/Benchmarks/bench.py --tools $(BUILD)/bench/tools $(BENCH)

# One by one, for the benchmark does without those that cannot be had.
$(PEERS): Tests/Benchmarks/requirements.txt
	python3 -m venv .build/bench/venv
	@complete=1; for peer in $$(cat $<); do \
		$@ -m pip install --quiet --disable-pip-version-check "$$peer" || { complete=; \
			echo "bench: $$peer cannot be installed, so its rows are left out" >&2; }; \
	done; if [ "$$complete" ]; then touch $@; fi

fuzz:
	@.ci/need fuzz
	for target in $(FUZZERS); do \
		STREAMUTILS_FUZZ=1 $(SWIFT) build -c release --scratch-path $(BUILD)/fuzz \
			--product $$target && \
		Tests/Fuzz/fuzz.sh $$target $(BUILD)/fuzz $(FUZZ_SECONDS) || exit; \
	done

format:
	$(SWIFT) format --in-place --recursive Package.swift Sources Tests

clean:
	rm -rf $(BUILD)
