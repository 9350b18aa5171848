set -o pipefail; echo hi | { read -r _; true; }; echo $?; printf '1\n2\n3\n' | { read -r x; echo "$x"; }; echo $?
