#!/usr/bin/env bash
# Fails if clang-format would change a tracked C++ file. Ends with 77 (skipped) where clang-format-19 is not
# installed: only `tools/test --all` installs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v clang-format-19 >/dev/null; then
    echo "clang-format-19 is not installed; tools/dev deps all"
    exit 77
fi
# A tree without git (a source archive) has every file checked.
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    mapfile -t files < <(git ls-files '*.h' '*.cc')
else
    mapfile -t files < <(find src tests bench -name '*.h' -o -name '*.cc')
fi
# A file that is tracked and yet gone is being moved; git will say so, this check need not.
present=()
for file in "${files[@]}"; do
    [[ -f $file ]] && present+=("$file")
done
if (( ${#present[@]} == 0 )); then
    echo "no C++ file found"
    exit 1
fi
printf '%s\0' "${present[@]}" | xargs -0 -n 32 clang-format-19 --dry-run -Werror
echo "${#present[@]} files are as clang-format leaves them"
