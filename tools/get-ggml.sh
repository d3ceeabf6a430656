#!/bin/sh
# get-ggml.sh PREFIX [cpu|vulkan|cuda|hip|metal]
# Builds the ggml that src/backend/ggml is tested with and installs it under PREFIX; then: cmake -DDREAMO_GGML=ON -DCMAKE_PREFIX_PATH=PREFIX.
# The sources are those that the Python package below carries (MIT licence), fetched by pip, checked by their hash.  What stands under PREFIX
# already, of this version and kind, is left as it is.  CCACHE (a program), JOBS and CUDAARCHS (90: for an H100, made on a machine without one) are looked at; QUICK=1 builds Vulkan's part with -O1, for tests.
# For dreamo alone: of Vulkan's 1,117 programs the 634 of types and ops that it never asks for are left empty, which saves most of the time.
set -eu
package=llama-cpp-python release=0.3.36 version=0.25.3
hash=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

die() { echo "get-ggml: $*" >&2; exit 1; }
[ $# -ge 1 ] && [ $# -le 2 ] || die "say where to, and which kind: tools/get-ggml.sh PREFIX [cpu|vulkan|cuda|hip|metal]"
kind=${2:-cpu}
need() { command -v "$1" >/dev/null || die "$kind needs $1: $2"; }
case $kind in
    cpu) backend= ;;
    vulkan) backend=-DGGML_VULKAN=ON
        need glslc "apt-get install libvulkan-dev glslc spirv-headers, and the card's driver (mesa-vulkan-drivers)" ;;
    cuda) backend=-DGGML_CUDA=ON; need nvcc "NVIDIA's CUDA toolkit" ;;
    hip) backend=-DGGML_HIP=ON; need hipconfig "AMD's ROCm" ;;
    metal) backend=-DGGML_METAL=ON; [ "$(uname)" = Darwin ] || die "metal is Apple's: this is $(uname)" ;;
    *) die "no kind \"$kind\": cpu, vulkan, cuda, hip or metal" ;;
esac
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
stamp=$prefix/share/get-ggml
[ "$(cat "$stamp" 2>/dev/null)" = "$version $kind" ] && { echo "ggml $version with $kind is at $prefix"; exit 0; }
for program in cmake c++; do need $program "a compiler and cmake build it"; done
# pip itself, or one in a folder of its own where there is none
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip="python3 -m pip"
$pip --version >/dev/null 2>&1 || { python3 -m venv "$work/venv" && pip="$work/venv/bin/pip"; } || die "needs python3 with pip or venv, to fetch $package"
$pip download -q --no-deps --no-binary $package -d "$work" "$package==$release" || die "pip does not find $package $release"
source=$(ls "$work"/llama*.tar.gz)
[ "$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$source")" = $hash ] ||
    die "$package $release is not the file that was tested: its SHA-256 differs"
tar xzf "$source" -C "$work" --strip-components 1
ggml=$work/vendor/llama.cpp/ggml
: >"$ggml/ggml.pc.in" # a file that only ggml's own repository has; an empty one will do

# Vulkan headers before 1.3.272 lack one structure, which ggml fills for validation and never uses otherwise.
mkdir "$work/vulkan"
if [ $kind = vulkan ] && ! echo '#include <vulkan/vulkan_core.h>
VkLayerSettingEXT v;' | c++ -fsyntax-only -x c++ - 2>/dev/null; then
    cat >"$work/vulkan/vulkan.hpp" <<'HPP'
#pragma once
#include_next <vulkan/vulkan.hpp>
namespace vk {
enum class LayerSettingTypeEXT { eBool32 = 0 };
struct LayerSettingEXT { const char *layer, *setting; LayerSettingTypeEXT type; uint32_t n; const void *values; };
struct LayerSettingsCreateInfoEXT {
    uint32_t sType = 1000496000;
    const void *pNext = nullptr;
    uint32_t n;
    const LayerSettingEXT *settings;
    LayerSettingsCreateInfoEXT(const std::vector<LayerSettingEXT> &s) : n((uint32_t)s.size()), settings(s.data()) {}
};
}
HPP
    export CPLUS_INCLUDE_PATH="$work"
fi
glslc=
if [ $kind = vulkan ]; then
    printf '#version 450\nvoid main() {}\n' >"$work/empty.comp"
    glslc -fshader-stage=compute "$work/empty.comp" -o "$work/empty.spv"
    cat >"$work/glslc" <<SH
#!/bin/sh
# glslc as the build sees it: -o FILE and -MF FILE are looked at.
out= deps= before=
for a; do
    case \$before in -o) out=\$a ;; -MF) deps=\$a ;; esac
    before=\$a
done
case \${out##*/} in
    *iq[1-4]_*|*mxfp4*|*nvfp4*|*tq[12]_0*|*q[12]_0*|*_id_*) # codebooks, ternary and the like; mixtures of experts
        cp "$work/empty.spv" "\$out"
        [ -z "\$deps" ] || echo "\$out:" >"\$deps" ;;
    *) exec $(command -v glslc) "\$@" ;;
esac
SH
    chmod +x "$work/glslc"
    glslc=-DVulkan_GLSLC_EXECUTABLE=$work/glslc
    [ -z "${QUICK:-}" ] || echo 'target_compile_options(ggml-vulkan PRIVATE -O1)' >>"$ggml/src/ggml-vulkan/CMakeLists.txt"
fi
cmake -S "$ggml" -B "$work/build" -DCMAKE_BUILD_TYPE=Release $backend $glslc -DGGML_OPENMP=OFF -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF \
    ${CUDAARCHS:+-DCMAKE_CUDA_ARCHITECTURES=$CUDAARCHS} \
    ${CCACHE:+-DCMAKE_C_COMPILER_LAUNCHER=$CCACHE -DCMAKE_CXX_COMPILER_LAUNCHER=$CCACHE} \
    -DCMAKE_INSTALL_RPATH='$ORIGIN' -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib >"$work/log" 2>&1 &&
    cmake --build "$work/build" -j "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" >>"$work/log" 2>&1 &&
    cmake --install "$work/build" >>"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; die "the build failed: its last lines stand above"; }
mkdir -p "$prefix/share"
echo "$version $kind" >"$stamp"
echo "ggml $version with $kind is at $prefix: cmake -DDREAMO_GGML=ON -DCMAKE_PREFIX_PATH=$prefix"
