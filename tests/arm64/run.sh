#!/usr/bin/env bash
# The lean install on an emulated Raspberry Pi 4 and 5, compared with this machine.
#
#   tests/arm64/run.sh PHOTOS MODEL.onnx [MODEL.onnx ...]        (or: make pi PHOTOS=... MODELS="...")
#
# PHOTOS is a folder of class folders, the models are files that edge export made, fp32 or below. It sets up Debian for
# arm64, the base of Raspberry Pi OS, installs this working tree there by the very commands of docs/raspberry-pi.md, and
# runs edge predict, evaluate, info, doctor and bench on a Cortex-A72 (Pi 4) and a Cortex-A76 (Pi 5). Answers and scores
# must be those of this machine: tests/arm64/pi_check.py says how close. What it says about speed means nothing.
#
# Needs an x86-64 Debian or Ubuntu with Linux 6.7 or newer, root, the packages debootstrap and qemu-user-static, and the
# package index and Debian mirror this machine is set up for. Nothing of the machine is changed: the emulator is made
# known in a namespace of its own.
#
# Settings (environment), and what they are by default:
#   PI_WORK    where all of it is kept, about 1 GB      ~/.cache/edge/pi
#   PI_CPUS    QEMU's names of the processors           cortex-a72 cortex-a76
#   PI_SUITE   Debian's release                         bookworm
#   PI_PHOTOS  photos taken of each class               4
#   PYTHON     one in whose environment edge is         .venv/bin/python
# Exit status: 0 all is as it should be, 1 it is not, 2 something it needs is missing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$(dirname "$here")")
work=${PI_WORK:-$HOME/.cache/edge/pi}
read -ra cpus <<<"${PI_CPUS:-cortex-a72 cortex-a76}"
suite=${PI_SUITE:-bookworm}
python=${PYTHON:-$project/.venv/bin/python}
# From here on folders change; a name to be looked up in PATH stays one.
case $python in [!/]*/*) python=$PWD/$python ;; esac
root=$work/root-$suite
home=$work/home

say() { printf '== %s (%s s)\n' "$*" "$SECONDS"; }
needs() {
    printf 'error: %s\n hint: %s\n' "$1" "$2" >&2
    exit 2
}

check_needs() {
    [ "$(uname -sm)" = "Linux x86_64" ] || needs "this emulates a Pi on x86-64 Linux, not on $(uname -sm)" \
        "on a 64-bit Pi itself, run the commands of docs/raspberry-pi.md"
    [ "$(id -u)" = 0 ] || needs "setting up an arm64 system needs root" "sudo $0 $*"
    local tool
    for tool in debootstrap qemu-aarch64-static unshare dpkg-deb; do
        command -v "$tool" >/dev/null || needs "$tool is not installed" \
            "apt install debootstrap qemu-user-static (Debian, Ubuntu)"
    done
    unshare --user --map-root-user --mount mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null ||
        needs "this kernel cannot register an emulator in a namespace: $(uname -r)" \
            "Linux 6.7 or newer, with user namespaces allowed"
    "$python" -c 'import edge_cli' 2>/dev/null || needs "$python has no edge" "make demo, or PYTHON=... $0"
    [ -n "${1:-}" ] && [ -n "${2:-}" ] || needs "no photos or no models are named" \
        'make pi PHOTOS=photos/val MODELS="runs/NAME/model.onnx runs/NAME/model-int8.onnx"'
    [ -d "$1" ] || needs "$1 is not a folder" "PHOTOS is a folder with a folder of photos for each class"
    local model
    for model in "${@:2}"; do
        [ -f "$model" ] || needs "$model is not a file" "edge export, and edge export --precision int8"
    done
}

# Debian's packages, unpacked: configuring them under emulation takes minutes and is not needed to run Python.
make_root() {
    [ ! -e "$root/.ready" ] || return 0
    say "fetching Debian $suite for arm64"
    rm -rf "$root"
    local mirror
    mirror=$(sed -n 's/^URIs: *\([^ ]*\/debian\)\/* *$/\1/p; s/^deb .*\(http[^ ]*\/debian\)\/* .*/\1/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true)
    debootstrap --arch=arm64 --foreign --variant=minbase --include=python3,python3-venv,ca-certificates \
        "$suite" "$root" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 ||
        { tail -n 5 "$work/debootstrap.log" >&2; needs "debootstrap failed" "see $work/debootstrap.log"; }
    local package
    for package in "$root"/var/cache/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
    done
    rm -f "$root"/var/cache/apt/archives/*.deb
    # What the packages' own scripts would have made.
    [ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
    printf 'root:x:0:0:root:/home/pi:/bin/bash\n' >"$root/etc/passwd"
    printf 'root:x:0:\n' >"$root/etc/group"
    [ ! -L "$root/proc" ] || rm "$root/proc"
    mkdir -p "$root"/{dev,proc,sys,tmp,home/pi,wheels}
    touch "$root/.ready"
}

# This working tree as a wheel, and what it depends on for arm64, by this machine's pip: the index it is set up for.
make_wheels() {
    say "building the wheel and fetching its dependencies for arm64"
    rm -rf "$work/wheels"
    mkdir -p "$work/wheels"
    "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/wheels" "$project"
    local version platforms=() glibc
    version=$(basename "$(ls "$root"/usr/bin/python3.[0-9]*[0-9])" | tr -d 'python.')
    for glibc in 17 24 27 28 31 34 35 36; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
    "$python" -m pip download --quiet --disable-pip-version-check --dest "$work/wheels" --only-binary=:all: \
        --implementation cp --python-version "$version" "${platforms[@]}" --platform manylinux2014_aarch64 \
        "$(echo "$work"/wheels/edge_vision-*.whl)[serve]"
}

# What a Pi's owner has copied to the home folder, and what this machine says of it.
make_home() {
    say "asking this machine"
    rm -rf "$home" "$work/here"
    mkdir -p "$home/models" "$work/here"
    cp "$work"/wheels/edge_vision-*.whl "$home"
    "$python" "$here/pi_check.py" choose "$1" "$home/photos" --each "${PI_PHOTOS:-4}"
    cp "$(find "$home/photos" -type f | sort | head -n 1)" "$home/photo.jpg"
    cp "$2" "$home/model.onnx"
    cp "${@:2}" "$home/models"
    (cd "$home" && ask "$work/here" "$python -m edge_cli")
}

# ask FOLDER EDGE: what edge says of every model, as JSON in FOLDER.
ask() {
    local model name
    for model in models/*.onnx; do
        name=$1/$(basename "$model" .onnx)
        $2 predict photos --model "$model" --top 1000 --jsonl --quiet >"$name.predict"
        $2 evaluate --model "$model" --data photos --json --quiet >"$name.evaluate"
        # Of a file that is not int8 there is nothing to hold the kernels against; whether they hold is in the JSON.
        ! $2 info "$model" | grep -q 'precision *int8' ||
            $2 evaluate --model "$model" --data photos --exact --json --quiet >"$name.exact" || true
        $2 info "$model" --json >"$name.info"
        $2 bench "$model" --duration 0.1 --runs 5 --cold-starts 1 --batch 1 --json --quiet >"$name.bench"
    done
}

# /proc/cpuinfo as a Pi has it: QEMU would show this machine's, and onnxruntime reads the processor's features there.
cpuinfo() {
    local features part
    case $1 in
    *a72) features="fp asimd evtstrm crc32 cpuid" part=0xd08 ;;
    *) features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp" part=0xd0b ;;
    esac
    local core
    for core in 0 1 2 3; do
        printf 'processor\t: %s\nFeatures\t: %s\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: %s\n\n' \
            "$core" "$features" "$part"
    done
}

mount_root() {
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    # The flag F has the emulator opened now, outside of the root that it will run in.
    local magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf ':qemu-aarch64:M::%s:%s:%s:F' "$magic" "$mask" "$(command -v qemu-aarch64-static)" \
        >/proc/sys/fs/binfmt_misc/register
    mount -t tmpfs tmpfs "$root/dev"
    mkdir "$root/dev/shm"
    local device
    for device in null zero full random urandom; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    mount --rbind /proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --bind "$home" "$root/home/pi"
    mount --bind "$work/wheels" "$root/wheels"
}

# on CPU COMMANDS: run them in the home folder of the emulated system.
on() {
    cpuinfo "$1" >"$work/cpuinfo"
    umount "$root/proc/cpuinfo" 2>/dev/null || true
    mount --bind "$work/cpuinfo" "$root/proc/cpuinfo"
    env -i QEMU_CPU="$1" HOME=/home/pi PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
        PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
        "$(command -v chroot)" "$root" /bin/bash -euo pipefail -c "cd; $2"
}

documented() { "$python" "$here/pi_check.py" commands "$project/docs/raspberry-pi.md" "$1"; }

inside() {
    mount_root
    say "installing, by docs/raspberry-pi.md"
    on "${cpus[0]}" "set -x; $(documented install)"
    local cpu failed=0
    for cpu in "${cpus[@]}"; do
        say "asking a $cpu"
        mkdir "$home/$cpu"
        on "$cpu" "edge/bin/edge doctor; $(declare -f ask); ask $cpu edge/bin/edge"
        "$python" "$here/pi_check.py" compare "$work/here" "$home/$cpu" || failed=1
    done
    say "using, by docs/raspberry-pi.md"
    on "${cpus[-1]}" "set -x; $(documented use)"
    say "installing the server, by docs/raspberry-pi.md"
    on "${cpus[-1]}" "set -x; $(documented serve); edge/bin/edge serve --help >/dev/null; edge/bin/python -c 'import edge_serve.app'"
    return $failed
}

if [ "${1:-}" = --inside ]; then
    inside
    exit
fi
check_needs "$@"
mkdir -p "$work"
exec 9>"$work/lock"
flock -n 9 || needs "another run is under way in $work" "wait for it, or set PI_WORK"
make_root
make_wheels
make_home "$@"
PI_WORK=$work PI_SUITE=$suite PI_CPUS="${cpus[*]}" PYTHON=$python \
    unshare --user --map-root-user --mount --propagation private "$BASH" "$here/run.sh" --inside
say "done"
