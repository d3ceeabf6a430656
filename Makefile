# The front door: each target is one command a person types.  The build itself is CMake's.

BUILD  ?= build
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

TOOLS    := cmake ninja-build gcc pkg-config
LIBS     := zlib1g-dev libpng-dev libjpeg62-turbo-dev libwebp-dev libavif-dev libheif-dev libjansson-dev libutf8proc-dev libcurl4-openssl-dev libmicrohttpd-dev libsqlite3-dev libhiredis-dev
TESTLIBS := curl libcmocka-dev sentencepiece python3-numpy python3-pil python3-opencv librsvg2-bin libopenmpi-dev openmpi-bin chromium redis-server

help:
	@echo "make demo     install what is missing, build, make pictures with the shipped model"
	@echo "make page     install what is missing, build, serve the web page with the shipped model"
	@echo "make test     install what is missing, build with warnings as errors, run all tests"
	@echo "make build    build $(BUILD)/dreamo"
	@echo "make deps     install the packages that are missing (apt)"
	@echo "make test-ggml  fetch and build ggml, and test the backend for GPUs on its CPU device; test-vulkan: on Vulkan's, too"
	@echo "make fuzz     SECONDS=60: each reader of files gets as many seconds of made-up ones (clang)"
	@echo "make bench    measure this machine"
	@echo "make install  PREFIX=$(PREFIX)"

# $(call missing,packages): those that dpkg does not have installed
missing = $(shell for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)
define apt
	@missing="$(call missing,$(1))"; if [ -n "$$missing" ]; then echo "installing $$missing"; \
	  ($(SUDO) apt-get install -y -qq --no-install-recommends $$missing || \
	   ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing)) >/dev/null; fi
endef

deps:
	$(call apt,$(TOOLS) $(LIBS))

testdeps:
	$(call apt,$(TOOLS) $(LIBS) $(TESTLIBS))

build: deps
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release -DDREAMO_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

demo: build
	@sh examples/demo.sh $(BUILD)/dreamo

page: build
	@$(BUILD)/dreamo serve -m models/dreamo-mini

test: testdeps
	@cmake -S . -B $(BUILD)-test -G Ninja -DCMAKE_BUILD_TYPE=Release -DDREAMO_WERROR=ON -DDREAMO_PYTHON=/usr/bin/python3 $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD)-test -j $(JOBS)
	@ctest --test-dir $(BUILD)-test --output-on-failure -j $(JOBS)

# The op table, whole pictures and the official comparison on ggml's own CPU device: the way to every GPU; and CUDA's kernels for training, as loops.  test-vulkan: on Vulkan's as well, which is
# Mesa's software driver where there is no card.  What that compiles stays in a folder: the first run takes minutes, the next ones seconds.
GGML ?= cpu
test-ggml: testdeps
	$(call apt,g++ python3-venv $(if $(filter vulkan,$(GGML)),libvulkan-dev glslc spirv-headers mesa-vulkan-drivers))
	@QUICK=1 tools/get-ggml.sh $(BUILD)-ggml/$(GGML) $(GGML)
	@cmake -S . -B $(BUILD)-ggml -G Ninja -DCMAKE_BUILD_TYPE=Release -DDREAMO_WERROR=ON -DDREAMO_GGML=ON -DDREAMO_CUDA=EMULATED -DCMAKE_PREFIX_PATH=$(CURDIR)/$(BUILD)-ggml/$(GGML) \
	  -DDREAMO_TEST_DEVICES="$(if $(filter vulkan,$(GGML)),ggml:Vulkan0)" -DDREAMO_PYTHON=/usr/bin/python3 $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD)-ggml -j $(JOBS) --target dreamo test_ops test_ggml test_prep_networks test_optimizer test_train_probe
	@ctest --test-dir $(BUILD)-ggml --output-on-failure -R '^(test_ops|test_ggml|prep_networks_ggml_cpu|gpu_script|golden_ggml_cpu|test_optimizer|test_train_probe)$$'
	$(if $(filter vulkan,$(GGML)),@GGML_VK_VISIBLE_DEVICES=0 GALLIVM_PERF=nopt MESA_SHADER_CACHE_DIR=$(CURDIR)/$(BUILD)-ggml/shaders \
	  ctest --test-dir $(BUILD)-ggml --output-on-failure -R 'ggml:')

test-vulkan:
	@$(MAKE) test-ggml GGML=vulkan

# What breaks a target stays in build-fuzz/found; as a small file in fuzz/corpus it becomes a test.
SECONDS ?= 60
fuzz: testdeps
	$(call apt,clang)
	@cmake -S . -B build-fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang -DDREAMO_FUZZ=ON -DDREAMO_TESTS=OFF >/dev/null
	@cmake --build build-fuzz -j $(JOBS)
	@mkdir -p build-fuzz/found
	@failed=; for source in fuzz/fuzz_*.c; do reader=$$(basename $$source .c | cut -c6-); mkdir -p build-fuzz/corpus/$$reader; \
	  build-fuzz/fuzz/fuzz_$$reader -max_total_time=$(SECONDS) -max_len=4096 -timeout=60 -rss_limit_mb=3000 -artifact_prefix=$(CURDIR)/build-fuzz/found/$$reader- \
	    $(CURDIR)/build-fuzz/corpus/$$reader $(CURDIR)/fuzz/corpus/$$reader 2>build-fuzz/$$reader.log || failed="$$failed $$reader"; \
	  echo "$$reader: $$(grep -o 'Done [0-9]* runs' build-fuzz/$$reader.log || echo 'broken, see build-fuzz/'$$reader.log)"; done; \
	  [ -z "$$failed" ] || { echo "broken:$$failed"; exit 1; }

bench: build
	@$(BUILD)/dreamo bench kernels

install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf $(BUILD) $(BUILD)-test build-fuzz

.PHONY: help deps testdeps build demo page test test-ggml fuzz bench install clean
