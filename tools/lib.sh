# shellcheck shell=bash
# Shell functions shared by tools/dev, tools/run, tools/test and .ci/run. To be sourced by bash, from anywhere.
# They end the whole script on an error, with a sentence on stderr that says what to do.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly root

say() { printf '\n== %s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# packages GROUP: the packages of the group and of those before it.
packages() {
    local stages=" run test all dev " package group
    [[ $stages == *" $1 "* ]] || die "no group of packages is called $1; there are:$stages"
    local taken="${stages%% "$1" *} $1 "
    while read -r package group; do
        [[ -z $package || $package == \#* ]] && continue
        [[ $taken == *" $group "* ]] && printf '%s\n' "$package"
    done < "$root/tools/packages.txt"
    return 0
}

# missing_packages GROUP: those of them that are not installed.
missing_packages() {
    local package
    for package in $(packages "$1"); do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
    done
}

# need GROUP: installs what is missing, or, without root, says how and ends.
need() {
    command -v dpkg-query >/dev/null || die "this needs Debian 12; elsewhere install what tools/packages.txt names"
    local -a missing
    mapfile -t missing < <(missing_packages "$1")
    (( ${#missing[@]} == 0 )) && return
    if (( EUID != 0 )); then
        printf '%s: these packages are missing; install them and start again:\n' "${0##*/}" >&2
        printf 'sudo apt-get update && sudo apt-get install --no-install-recommends -y %s\n' "${missing[*]}" >&2
        exit 1
    fi
    say "installing ${#missing[@]} packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update || die "apt-get update failed; see above"
    apt-get install --no-install-recommends -y "${missing[@]}" || die "apt-get install failed; see above"
}

# build PRESET [TARGET…]: configures once, then builds the targets, or all.
build() {
    local preset="$1" target
    shift
    local -a targets=()
    for target in "$@"; do targets+=(--target "$target"); done
    cd "$root" || exit
    if [[ ! -f build/$preset/build.ninja ]]; then
        say "configuring preset $preset"
        cmake --preset "$preset" || die "configuring the preset $preset failed; see above"
    fi
    say "building preset $preset${*:+: $*}"
    local begin=$SECONDS
    cmake --build "build/$preset" "${targets[@]}" || die "the build of the preset $preset failed; see above"
    printf '   preset %s built in %d s\n' "$preset" "$((SECONDS - begin))"
}

# peer NAME: unpacks the Debian package NAME, with those packages it needs that are not installed, into
# build/peers/NAME and prints that folder. Nothing is installed and nothing is started. What is run from there needs
# LD_LIBRARY_PATH, for Postfix: FOLDER/usr/lib/postfix:FOLDER/usr/lib/x86_64-linux-gnu
peer() {
    local name="$1" folder="$root/build/peers/$1" parts="$root/build/peers/.$1.part" file
    [[ $name =~ ^[a-z0-9][a-z0-9+.-]*$ ]] || die "no package can be called $name"
    if [[ ! -d $folder ]]; then
        local -a wanted
        mapfile -t wanted < <(apt-get install --simulate --no-install-recommends "$name" | awk '$1 == "Inst" {print $2}')
        # Installed already: then only the package itself is needed.
        (( ${#wanted[@]} )) || wanted=("$name")
        rm -rf "$parts"
        mkdir -p "$parts/debs" "$parts/tree"
        say "fetching ${wanted[*]}" >&2
        (cd "$parts/debs" && apt-get download "${wanted[@]}" >&2) ||
            die "cannot fetch $name; does apt-get update find the archive?"
        for file in "$parts"/debs/*.deb; do
            dpkg -x "$file" "$parts/tree"
        done
        mv "$parts/tree" "$folder"
        rm -rf "$parts"
    fi
    printf '%s\n' "$folder"
}
